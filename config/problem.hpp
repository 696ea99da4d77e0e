// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::config {

/// Where something stands in a file. Lines and columns count from 1, columns and lengths in bytes; line 0 = nowhere in
/// particular.
struct Place {
    unsigned line = 0;
    unsigned column = 0;
    unsigned length = 0;
    bool operator==(const Place&) const = default;
};

/// A note is what nobody can tell from here whether it is wrong.
enum class Severity { note, warning, error };

/// "error"
std::string_view word(Severity severity);

/// One thing that is wrong with a configuration. An error keeps it from being used, the others do not.
struct Problem {
    Severity severity = Severity::error;
    std::string file;  ///< as the caller named it
    unsigned line = 0, column = 0, length = 0;
    std::string rule;  ///< the word in brackets: "unknown-key"
    std::string text;  ///< never holds the value of a variable
    std::string hint;  ///< what to do about it; may be empty
    bool operator==(const Problem&) const = default;
};

/// `stack.yaml:31:5: error: unknown key "comand" in pools.web [unknown-key]`, no line end.
std::string headline(const Problem& problem);

/// The headline and, where `source` (the text of the file) has that line, the line itself with `^~~~` and the hint
/// below. Ends with a newline. Control characters of the source are shown as `?`, long lines are cut around the place.
std::string render(const Problem& problem, std::string_view source);

/// Collects problems of one file: each once, at most `most_problems`, in the order of their places.
class Problems {
 public:
    static constexpr std::size_t most_problems = 100;

    explicit Problems(std::string file) : file_(std::move(file)) {}

    void error(Place place, std::string rule, std::string text, std::string hint = {});
    void warn(Place place, std::string rule, std::string text, std::string hint = {});
    void note(Place place, std::string rule, std::string text, std::string hint = {});
    void add(Problem problem);

    bool has_errors() const;
    /// Sorted by place; the collection is empty afterwards.
    std::vector<Problem> take();

 private:
    std::string file_;
    std::vector<Problem> list_;
    bool errors_ = false;
};

}  // namespace edgeproxy::config
