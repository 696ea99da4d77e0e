// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/head_scanner.hpp"

#include <algorithm>
#include <cstring>

#include "proxy/http/name_table.hpp"
#include "proxy/http/scan.hpp"

namespace edgeproxy::http {
namespace {

constexpr std::size_t charge_per_field = 32;  // RFC 9113, section 10.5.1: HTTP/1.1 and HTTP/2 are counted alike

// `count_` for what is no name of letters, digits and '-'. readable_for(size) bytes are there: the colon was found in
// them.
FieldId quick_lookup(const char* name, std::size_t size) {
    if (size >= detail::shortest_hashed) {
        const FieldId id = detail::known_name(name, size);
        if (id != FieldId::other) return id;
        return scan::is_near_name(name, size) ? detail::family_of({name, size}) : FieldId::count_;
    }
    return size != 0 && scan::is_near_name(name, size) ? lookup_plain({name, size}) : FieldId::count_;
}

bool is_crlf(const char* p) {
    std::uint16_t two = 0;
    std::memcpy(&two, p, 2);
    constexpr char crlf[] = {'\r', '\n'};
    std::uint16_t wanted = 0;
    std::memcpy(&wanted, crlf, 2);
    return two == wanted;
}

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

// A colon stands before `first`, a CR at `last`: the loops end there.
inline std::string_view without_blanks(const char* first, const char* last) {
    if (*first == ' ') ++first;  // one, as nearly everybody writes it
    while (is_blank(*first)) ++first;
    while (last > first && is_blank(last[-1])) --last;
    return {first, static_cast<std::size_t>(last - first)};
}

}  // namespace

void HeadScanner::restart() {
    step_ = Step::start;
    scanned_ = 0;
    first_ = 0;
    charged_ = 0;
    base_ = 0;
}

ReadResult HeadScanner::fail(errc error) {
    failed_ = error;
    return {ReadResult::Status::failed, error, 0};
}

ReadResult HeadScanner::wait(std::size_t scanned) {
    scanned_ = static_cast<std::uint32_t>(scanned);
    return {};
}

// The fields read so far point into the buffer where it lay before. Whole numbers are compared and added, not pointers
// into memory that may be gone.
void HeadScanner::follow_buffer(std::string_view buffered, Fields& fields) {
    const auto base = reinterpret_cast<std::uintptr_t>(buffered.data());
    if (base == base_) return;
    const auto moved = [&](std::string_view text) {
        return buffered.substr(reinterpret_cast<std::uintptr_t>(text.data()) - base_, text.size());
    };
    if (base_ != 0) {
        for (Field& field : fields) {
            field.name = moved(field.name);
            field.value = moved(field.value);
        }
    }
    base_ = base;
}

// How long this line may be without its colon: its own limit, or what is left for the head.
std::size_t HeadScanner::budget(std::size_t limit) const {
    return std::min(limit, limits_.header_bytes - charged_ - charge_per_field);
}

ReadResult HeadScanner::read_fields(std::string_view buffered, Fields& fields) {
    for (;;) {
        if (step_ == Step::line) {
            const std::size_t at = read_whole_lines(buffered, fields);
            if (at == buffered.size()) return wait(at);
            const char first = buffered[at];
            if (first == '\r') {
                if (buffered.size() - at < 2) return wait(at);
                if (buffered[at + 1] != '\n') return fail(errc::bare_cr);
                return {ReadResult::Status::complete, errc::ok, at + 2};
            }
            const errc error = begin_line(first, at, fields);
            if (error != errc::ok) return fail(error);
        }
        if (step_ == Step::name) {
            const errc error = read_name(buffered);
            if (error != errc::ok) return fail(error);
            if (step_ == Step::name) return {};
        }
        const errc error = read_value(buffered, fields);
        if (error != errc::ok) return fail(error);
        if (step_ == Step::value) return {};
    }
}

// The quick way: lines that are all there, with nothing unusual about them, one after another. Returns the offset of
// the first that is not; the steps below know what to say about it. They would find the same in these lines.
std::size_t HeadScanner::read_whole_lines(std::string_view buffered, Fields& fields) {
    const char* const head = buffered.data();
    const char* const end = head + buffered.size();
    const char* p = head + scanned_;
    std::size_t left = limits_.header_bytes - charged_;
    const std::size_t most = std::min(limits_.fields, Fields::capacity);
    while (end - p >= 16 && fields.size() < most) {
        const char* const colon = scan::near_colon(p, end);
        if (colon == nullptr) break;
        const auto name_size = static_cast<std::size_t>(colon - p);
        const FieldId id = quick_lookup(p, name_size);
        if (id == FieldId::count_) break;
        const char* const stop = scan::value_end(colon + 1, end);
        if (end - stop < 2 || !is_crlf(stop)) break;
        const auto size = static_cast<std::size_t>(stop - p) - 1;
        if (size > limits_.field || name_size > limits_.name || size + charge_per_field > left) break;
        fields.push_within({p, name_size}, without_blanks(colon + 1, stop), id);
        left -= size + charge_per_field;
        p = stop + 2;
    }
    charged_ = limits_.header_bytes - left;
    return static_cast<std::size_t>(p - head);
}

errc HeadScanner::begin_line(char first, std::size_t offset, const Fields& fields) {
    if (first == ' ' || first == '\t') return errc::obs_fold;
    if (fields.size() >= limits_.fields || fields.size() == Fields::capacity) return errc::too_many_fields;
    if (charged_ + charge_per_field > limits_.header_bytes) return errc::head_too_large;
    line_ = scanned_ = static_cast<std::uint32_t>(offset);
    odd_ = false;
    step_ = Step::name;
    return errc::ok;
}

errc HeadScanner::read_name(std::string_view buffered) {
    const char* const head = buffered.data();
    const std::size_t limit = line_ + budget(limits_.name) + 1;
    const char* const stop = head + std::min(buffered.size(), limit);
    const char* p = head + scanned_;
    for (;; ++p) {
        p = scan::name_end(p, stop);
        if (p == stop || *p == ':') break;
        if (!is_char(*p, char_token)) return *p == '\n' ? errc::bare_lf : errc::bad_field;
        odd_ = true;
    }
    scanned_ = static_cast<std::uint32_t>(p - head);
    if (p == stop) {
        if (scanned_ < limit) return errc::ok;  // the rest is to come
        return budget(limits_.name) < limits_.name ? errc::head_too_large : errc::field_too_large;
    }
    if (scanned_ == line_) return errc::bad_field;
    colon_ = scanned_++;
    step_ = Step::value;
    return errc::ok;
}

errc HeadScanner::read_value(std::string_view buffered, Fields& fields) {
    const char* const head = buffered.data();
    const std::size_t limit = line_ + budget(limits_.field) + 2;  // the colon, and the CR
    const char* const stop = head + std::min(buffered.size(), limit);
    const char* p = scan::value_end(head + scanned_, stop);
    while (p != stop && *p == '\t') p = scan::value_end(p + 1, stop);
    scanned_ = static_cast<std::uint32_t>(p - head);
    if (p == stop) {
        if (scanned_ < limit) return errc::ok;
        return budget(limits_.field) < limits_.field ? errc::head_too_large : errc::field_too_large;
    }
    if (*p != '\r') return *p == '\n' ? errc::bare_lf : errc::bad_field;
    if (scanned_ + 1 == buffered.size()) return errc::ok;
    if (p[1] != '\n') return errc::bare_cr;

    const std::string_view name(head + line_, colon_ - line_);
    fields.push(name, without_blanks(head + colon_ + 1, p), odd_ ? lookup(name) : lookup_plain(name));
    charged_ += scanned_ - line_ - 1 + charge_per_field;
    scanned_ += 2;
    step_ = Step::line;
    return errc::ok;
}

}  // namespace edgeproxy::http
