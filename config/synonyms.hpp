// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::config {

/// A word that people know from another tool, and what it is here.
struct Synonym {
    std::string_view section;  ///< of the field table: "pools.<name>", "" = top level; "*" = anywhere
    std::string_view word;
    std::string_view answer;  ///< a key, or (with a space in it) a sentence
};

/// The whole table, for its test.
std::span<const Synonym> synonyms();

/// What to say about the unknown key `word` in `section` (a path of the field table): another tool's word first, then
/// the same key in another section, then the nearest spelling. Empty when nothing comes to mind.
std::string hint_for_key(std::string_view section, std::string_view word);

/// `did you mean "web"?` for the candidate nearest to `word`, empty when none is near.
std::string nearest_hint(std::string_view word, std::span<const std::string_view> candidates);
/// The candidate itself, or empty.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace edgeproxy::config
