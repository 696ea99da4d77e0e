// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::config {

/// What a key takes. `*_list` takes one value or a list of them.
enum class FieldType {
    section,   ///< a map; `words` names the key that a lone value stands for, if any
    named,     ///< a map of sections under names that the user chooses
    sections,  ///< a list of sections
    boolean,
    count,
    duration,
    size,
    word,  ///< one of `words`
    word_list,
    text,
    text_list,
    text_map,  ///< names and texts
    path,      ///< made absolute against the directory of the file
    path_list,
    output,  ///< stdout, stderr or a path
    address,
    address_list,
    cidr_list,
    status_range,  ///< 200-399
    span,          ///< two lengths of time, 500ms-30s
    failures,      ///< a count in a time, 5/60s
    command,       ///< a text split like a shell would, or a list
    any,           ///< not looked into
};

/// What happens when a reload changes the key.
enum class Change {
    live,     ///< takes effect, nobody is dropped
    roll,     ///< workers are replaced one after another
    restart,  ///< kept as it was, and said so
};

/// One key of stack.yaml. The table of them is the only source of defaults, ranges and words: loader, canonical form
/// and reference read it.
struct Field {
    std::string_view path;  ///< "pools.<name>.queue.size", "routes[].host"
    FieldType type;

    /// As one would write it; empty = none. Alternatives are divided by `|`, each but the last behind the trait that
    /// selects it: "uvicorn?60s|gunicorn?1s|4s". "auto" is worked out by the loader.
    std::string_view fallback;
    std::string_view low, high;  ///< the range, as one would write it; empty = none

    /// word types: the words in the order of the C++ enumeration, one that ends in `!` is known but not built yet.
    /// Other types: `off` (stands for zero or nothing), `auto`, `any` where these may be written.
    std::string_view words;
    Change change;
    std::string_view since;  ///< the first version that has it; empty = known, but not built yet
    std::string_view help;

    bool supported() const { return !since.empty(); }
    bool internal() const { return help.starts_with("internal"); }  ///< written by the master for the proxy only
    bool takes(std::string_view word) const;                        ///< is in `words`, with or without `!`
    std::vector<std::string_view> word_list() const;                ///< `words` apart
    /// The default where these traits hold.
    std::string_view fallback_for(std::span<const std::string_view> traits) const;
};

/// All keys, sections before what is in them.
std::span<const Field> field_table();

/// The key of that path, or null. Paths are those of the table.
const Field* find_field(std::string_view path);

/// What may stand directly in a section; "" is the top level.
std::span<const Field* const> fields_below(std::string_view section);

/// "pools.<name>.queue.size" -> "size".
std::string_view last_part(std::string_view path);

}  // namespace edgeproxy::config
