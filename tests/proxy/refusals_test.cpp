// SPDX-License-Identifier: Apache-2.0
// The pages that say what is refused, against the tables of the program.
#include <catch2/catch.hpp>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "proxy/admin/cells.hpp"
#include "proxy/admin/server.hpp"
#include "proxy/exchange.hpp"
#include "proxy/local_reply.hpp"

using namespace edgeproxy;

namespace {

using Words = std::set<std::string>;

std::string section(const std::string& page, const std::string& heading) {
    std::ifstream file(std::string(EDGEPROXY_SOURCE_DIR) + "/" + page);
    std::stringstream all;
    all << file.rdbuf();
    const std::string text = all.str();
    const auto begin = text.find("\n## " + heading);
    if (begin == std::string::npos) return {};
    return text.substr(begin, text.find("\n## ", begin + 1) - begin);
}

/// The rows of the table of a section: cell by cell, without its head.
std::vector<std::vector<std::string>> rows(const std::string& text) {
    std::vector<std::vector<std::string>> found;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("| ") || line.starts_with("| status |") || line.starts_with("| word |")) continue;
        std::istringstream cells(line.substr(1));
        found.emplace_back();
        for (std::string cell; std::getline(cells, cell, '|');) found.back().push_back(cell);
    }
    return found;
}

Words words_in(const std::string& cell) {
    Words words;
    for (std::size_t at = 0; (at = cell.find('`', at)) != std::string::npos;) {
        const auto end = cell.find('`', at + 1);
        words.insert(cell.substr(at + 1, end - at - 1));
        at = end + 1;
    }
    return words;
}

/// Status and word of every answer that the program may give by itself.
std::set<std::string> answers() {
    std::set<std::string> all;
    const auto add = [&](const proxy::Reason& why) {
        all.insert(std::to_string(why.status) + " " + std::string(why.word));
    };
    for (std::size_t i = 0; i <= static_cast<std::size_t>(proxy::Refusal::internal); ++i)
        add(proxy::reason(static_cast<proxy::Refusal>(i)));
    for (std::size_t i = 1; i < upstream::errc_count; ++i) add(proxy::reason(static_cast<upstream::errc>(i)));
    for (int i = 1; i < static_cast<int>(http::errc::count_); ++i) {
        // What is wrong with an endpoint's answer is told as http_protocol_error.
        if (const auto why = proxy::reason(static_cast<http::errc>(i)); why.status != 502) add(why);
    }
    return all;
}

template <class Reason>
Words all_of(std::size_t count) {
    Words words;
    for (std::size_t i = 0; i < count; ++i) words.insert(std::string(word(static_cast<Reason>(i))));
    return words;
}

}  // namespace

TEST_CASE("the pages tell every answer that is a refusal, and no other", "[proxy][refusals]") {
    const auto [page, heading] = GENERATE(
        table<std::string, std::string>({{"README.md", "What is refused, and why"}, {"docs/refusals.md", "Answers"}}));
    std::set<std::string> told;
    for (const auto& cells : rows(section(page, heading))) {
        REQUIRE(cells.size() >= 3);
        for (const std::string& word : words_in(cells[1])) told.insert(cells[0].substr(1, 3) + " " + word);
    }
    CAPTURE(page);
    CHECK(told == answers());
}

TEST_CASE("the page tells every word of a refusal, and no other", "[proxy][refusals]") {
    using namespace admin;
    const std::map<std::string, Words> tables{
        {"Requests without", {proxy::loss::all.begin(), proxy::loss::all.end()}},
        {"Connections:", all_of<Refusal>(refusals)},
        {"TLS handshakes:", all_of<HandshakeResult>(handshake_results)},
        {"Ends of HTTP/2", all_of<Http2End>(http2_ends)},
        {"Waste on HTTP/2", all_of<http::Glitch>(http::glitches)},
        {"Slow streams", all_of<SlowStream>(slow_streams)},
        {"Fields of requests", all_of<FieldDrop>(field_drops)},
        {"Limits:", all_of<Limit>(limits)},
        {"The metrics listener", all_of<AdminRefusal>(admin_refusals)},
    };
    for (const auto& [heading, expected] : tables) {
        Words told;
        for (const auto& cells : rows(section("docs/refusals.md", heading))) told.merge(words_in(cells.front()));
        CAPTURE(heading);
        CHECK(told == expected);
    }
}
