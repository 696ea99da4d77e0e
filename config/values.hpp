// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <concepts>
#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "config/field_table.hpp"

/// One scalar and the text for it, both ways, as its row of the field table says.
namespace edgeproxy::config {

/// Why a text is not what the field takes. `rule` is empty when all is well.
struct Complaint {
    std::string rule, text, hint;
    explicit operator bool() const { return !rule.empty(); }
};

/// What texts mean beyond themselves.
struct ValueContext {
    std::string base_dir;                                           ///< what relative paths start from
    std::string (*automatic)(const void*, const Field&) = nullptr;  ///< the text that `auto` stands for
    const void* owner = nullptr;                                    ///< handed to `automatic`
};

Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, unsigned& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, bool& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, Duration& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, ByteSize& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, std::string& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, Address& value);
Complaint read_value(const ValueContext& context, const Field& field, std::string_view text, Cidr& value);
/// `index` in the field's list of words.
Complaint read_word(const Field& field, std::string_view text, std::size_t& index);

template <class Enum>
requires std::is_enum_v<Enum> Complaint read_value(const ValueContext&, const Field& field, std::string_view text,
                                                   Enum& value) {
    std::size_t index = 0;
    auto complaint = read_word(field, text, index);
    if (!complaint) value = static_cast<Enum>(index);
    return complaint;
}

/// The text that reads back as `value`; empty = leave the key out.
std::string write_value(const Field& field, unsigned value);
std::string write_value(const Field& field, bool value);
std::string write_value(const Field& field, Duration value);
std::string write_value(const Field& field, ByteSize value);
std::string write_value(const Field& field, const std::string& value);
std::string write_value(const Field& field, const Address& value);
std::string write_value(const Field& field, const Cidr& value);
std::string write_word(const Field& field, std::size_t index);

template <class Enum>
requires std::is_enum_v<Enum> std::string write_value(const Field& field, Enum value) {
    return write_word(field, static_cast<std::size_t>(value));
}

// Pairs of values that are written as one text.

/// "200-399", "204", "any" (0 and 0).
Complaint read_status_range(std::string_view text, unsigned& low, unsigned& high);
std::string write_status_range(unsigned low, unsigned high);
/// "500ms-30s"
Complaint read_span(const Field& field, std::string_view text, Duration& low, Duration& high);
std::string write_span(Duration low, Duration high);
/// "5/60s"
Complaint read_failures(const Field& field, std::string_view text, unsigned& count, Duration& window);
std::string write_failures(unsigned count, Duration window);

/// "0-3,6", "auto" (each slot its own). At most `most_cpus`, sorted, none twice; empty text = all.
inline constexpr unsigned most_cpus = 1024;
Complaint read_cpus(std::string_view text, bool& spread, std::vector<unsigned>& cpus);
std::string write_cpus(bool spread, const std::vector<unsigned>& cpus);

/// A path against a directory: `a/b` -> `/dir/a/b`, dots resolved. Absolute paths stay as they are.
std::string absolute_path(const std::string& base_dir, std::string_view path);

}  // namespace edgeproxy::config
