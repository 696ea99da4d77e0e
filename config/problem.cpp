// SPDX-License-Identifier: Apache-2.0
#include "config/problem.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace edgeproxy::config {

namespace {

constexpr std::size_t widest_excerpt = 100;  // bytes of source shown
constexpr std::size_t number_width = 5;
constexpr std::size_t shown_before = 30;  // bytes kept in front of the place when the line is cut

std::string_view line_of(std::string_view source, unsigned line) {
    for (unsigned current = 1; line != 0 && !source.empty(); ++current) {
        const auto end = source.find('\n');
        const auto text = source.substr(0, end);
        if (current == line) return text.ends_with('\r') ? text.substr(0, text.size() - 1) : text;
        if (end == std::string_view::npos) break;
        source.remove_prefix(end + 1);
    }
    return {};
}

bool continues_character(char c) {
    return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

/// Cuts a long line to a window around `start`, never through a UTF-8 character; `start` then counts in the window.
std::string_view windowed(std::string_view line, std::size_t& start) {
    if (line.size() <= widest_excerpt) return line;
    std::size_t first = start > shown_before ? start - shown_before : 0;
    while (first > 0 && continues_character(line[first])) --first;
    start -= first;
    std::size_t length = std::min(widest_excerpt, line.size() - first);
    while (first + length < line.size() && length > 0 && continues_character(line[first + length])) --length;
    return line.substr(first, length);
}

std::string printable(std::string_view text) {
    std::string shown(text);
    for (char& c : shown) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\t') c = ' ';
        if (byte < 0x20 || byte == 0x7f) c = c == ' ' ? ' ' : '?';
    }
    return shown;
}

std::size_t characters(std::string_view text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return !continues_character(c); }));
}

std::string margin(std::string_view number) {
    return std::string(number_width - std::min(number_width, number.size()), ' ') + std::string(number) + " | ";
}

std::string excerpt(const Problem& problem, std::string_view line) {
    std::size_t start = problem.column == 0 ? 0 : problem.column - 1;
    start = std::min(start, line.size());
    const auto shown = windowed(line, start);
    const auto marked = shown.substr(std::min(start, shown.size()), std::max(1U, problem.length));
    const std::size_t tildes = std::max<std::size_t>(characters(marked), 1) - 1;
    std::string result = margin(std::to_string(problem.line)) + printable(shown) + "\n";
    result += margin("") + std::string(characters(shown.substr(0, start)), ' ') + "^" + std::string(tildes, '~');
    if (!problem.hint.empty()) result += " " + problem.hint;
    return result + "\n";
}

}  // namespace

std::string_view word(Severity severity) {
    switch (severity) {
        case Severity::note:
            return "note";
        case Severity::warning:
            return "warning";
        case Severity::error:
            break;
    }
    return "error";
}

std::string headline(const Problem& problem) {
    std::string result = problem.file;
    if (problem.line != 0) result += ":" + std::to_string(problem.line) + ":" + std::to_string(problem.column);
    result += ": " + std::string(word(problem.severity)) + ": ";
    return result + printable(problem.text) + " [" + problem.rule + "]";
}

std::string render(const Problem& problem, std::string_view source) {
    const auto line = line_of(source, problem.line);
    std::string result = headline(problem) + "\n";
    if (!line.empty()) return result + excerpt(problem, line);
    if (!problem.hint.empty()) result += margin("") + problem.hint + "\n";
    return result;
}

void Problems::error(Place place, std::string rule, std::string text, std::string hint) {
    add({Severity::error, file_, place.line, place.column, place.length, std::move(rule), std::move(text),
         std::move(hint)});
}

void Problems::warn(Place place, std::string rule, std::string text, std::string hint) {
    add({Severity::warning, file_, place.line, place.column, place.length, std::move(rule), std::move(text),
         std::move(hint)});
}

void Problems::note(Place place, std::string rule, std::string text, std::string hint) {
    add({Severity::note, file_, place.line, place.column, place.length, std::move(rule), std::move(text),
         std::move(hint)});
}

void Problems::add(Problem problem) {
    errors_ = errors_ || problem.severity == Severity::error;
    // Warnings get half of the room, so that they never crowd out the error that explains a refusal.
    const bool mild = problem.severity != Severity::error;
    if (list_.size() >= (mild ? most_problems / 2 : most_problems)) return;
    // A value that several aliases stand for is read several times.
    if (std::find(list_.begin(), list_.end(), problem) != list_.end()) return;
    list_.push_back(std::move(problem));
}

bool Problems::has_errors() const {
    return errors_;
}

std::vector<Problem> Problems::take() {
    std::stable_sort(list_.begin(), list_.end(), [](const Problem& a, const Problem& b) {
        return std::tie(a.line, a.column) < std::tie(b.line, b.column);
    });
    // What a listener takes over from the top level is read twice.
    const auto same = [](const Problem& a, const Problem& b) {
        return std::tie(a.line, a.column, a.rule, a.text) == std::tie(b.line, b.column, b.rule, b.text);
    };
    list_.erase(std::unique(list_.begin(), list_.end(), same), list_.end());
    return std::exchange(list_, {});
}

}  // namespace edgeproxy::config
