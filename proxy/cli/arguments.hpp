// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"

namespace edgeproxy::cli {

/// Walks over the words of a command that has operands, options and perhaps a program behind `--`. `--name value` and
/// `--name=value` are the same. The first complaint is kept.
class Arguments {
 public:
    explicit Arguments(std::span<const std::string> words) : rest_(words) {}

    /// The next word: an option without its value, or an operand. Empty at the end, at `--`, or after a complaint.
    std::optional<std::string> next();
    /// The value of the option that `next` gave; a complaint when it has none.
    std::string value();
    /// The value as a count from `low` to `high`; a complaint when it is none.
    unsigned count(unsigned low, unsigned high);
    /// What stands behind `--`.
    std::vector<std::string> behind() const { return {rest_.begin(), rest_.end()}; }

    void complain(std::string text, std::string hint = {});
    const std::string& complaint() const { return complaint_; }
    const std::string& hint() const { return hint_; }

 private:
    std::span<const std::string> rest_;
    std::string option_;
    std::optional<std::string> given_;
    std::string complaint_, hint_;
};

/// One value of a YAML file that we write ourselves: quoted, so that nothing in it is structure or a variable.
std::string yaml_text(const std::string& text);
/// `[a, b]`
std::string yaml_list(const std::vector<std::string>& texts);

}  // namespace edgeproxy::cli
