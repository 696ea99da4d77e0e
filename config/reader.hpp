// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/problem.hpp"

namespace edgeproxy::config {

struct Node;
/// Shared, because an alias is the same value at another place; never changed once read.
using NodePtr = std::shared_ptr<const Node>;

/// A key of a map with its value. `place` is the key's.
struct Entry {
    std::string key;
    Place place;
    NodePtr value;
};

/// A YAML value with the place where it stands: our own tree, because the library's keeps duplicate keys and loses
/// places.
struct Node {
    enum class Kind { null, scalar, list, map };

    Kind kind = Kind::null;
    Place place;
    std::string text;            ///< scalar: as written, variables not yet expanded
    std::vector<NodePtr> items;  ///< list
    std::vector<Entry> entries;  ///< map, in the order of the file; keys are unique, `<<` is applied
    std::size_t nodes = 1;       ///< this one and all below
    unsigned height = 1;         ///< lists and maps on the longest way down, this one included

    bool is(Kind wanted) const { return kind == wanted; }
    /// The entry of that key, or null.
    const Entry* find(std::string_view key) const;
};

/// Reads one YAML document strictly: no duplicate keys, no second document, keys are text, aliases and nesting are
/// bounded (load.hpp), merge keys (`<<`) are applied. Null and at least one error in `problems` when nothing sensible
/// is left; an empty text is an empty map. Never throws for what stands in `text`.
NodePtr read_yaml(std::string_view text, Problems& problems);

/// For the trees that short forms expand to.
NodePtr make_scalar(std::string text, Place place);
NodePtr make_list(std::vector<NodePtr> items, Place place);
NodePtr make_map(std::vector<Entry> entries, Place place);

}  // namespace edgeproxy::config
