// SPDX-License-Identifier: Apache-2.0
#include "proxy/respond/error_pages.hpp"

#include <algorithm>
#include <optional>

#include "config/text_escape.hpp"
#include "proxy/http/text.hpp"

namespace edgeproxy::respond {
namespace {

using config::json_string;

/// Which of our formats a media range in lower case asks for by name.
std::optional<config::PageFormat> format_of(std::string_view type) {
    const auto has = [&](std::string_view part) { return type.find(part) != std::string_view::npos; };
    if (has("text/html") || has("application/xhtml")) return config::PageFormat::html;
    if (has("application/json") || has("+json")) return config::PageFormat::json;
    return std::nullopt;
}

/// The weight of a media range in thousandths: 1000 when there is none, or none that is a number (RFC 9110, section
/// 12.4.2).
unsigned weight_of(std::string_view range) {
    constexpr unsigned whole = 1000;
    for (std::size_t at = range.find(';'); at != std::string_view::npos; at = range.find(';', at + 1)) {
        const std::string_view parameter = http::trim(range.substr(at + 1));
        if (!parameter.starts_with("q=")) continue;
        const std::string_view text = parameter.substr(2);
        if (text.empty() || text[0] != '0') return whole;
        unsigned weight = 0, unit = 100;
        for (const char digit : text.starts_with("0.") ? text.substr(2) : std::string_view()) {
            if (digit < '0' || digit > '9') break;
            weight += static_cast<unsigned>(digit - '0') * unit;
            unit /= 10;
        }
        return weight;
    }
    return whole;
}

std::string html_escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t' ? '?' : c;
        }
    }
    return out;
}

std::string html(const ErrorPage& page) {
    const std::string title = std::to_string(page.status) + " " + html_escaped(page.title);
    std::string out =
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
        "content=\"width=device-width\"><title>" +
        title +
        "</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:12vh auto;padding:0 "
        "1em;color:#222;background:#fff}"
        "h1{font-size:1.4em}code,pre{font:13px/1.4 "
        "ui-monospace,monospace;color:#555}pre{background:#f4f4f4;padding:1em;overflow:auto}"
        "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{color:#aaa}pre{background:#222}}"
        "</style></head><body><h1>" +
        title + "</h1>\n<p>" + html_escaped(page.sentence) + "</p>\n";
    if (!page.details.empty()) {
        out += "<pre>";
        for (const std::string& line : page.details) out += html_escaped(line) + "\n";
        out += "</pre>\n";
    }
    out += "<p><code>" + html_escaped(page.error);
    if (!page.request_id.empty()) out += " &middot; request " + html_escaped(page.request_id);
    return out + "</code></p></body></html>\n";
}

std::string problem(const ErrorPage& page) {
    std::string out = "{\"type\":\"about:blank\",\"title\":" + json_string(page.title) +
                      ",\"status\":" + std::to_string(page.status) + ",\"detail\":" + json_string(page.sentence);
    if (!page.request_id.empty()) out += ",\"instance\":" + json_string(page.request_id);
    out += ",\"error\":" + json_string(page.error);
    if (!page.details.empty()) {
        out += ",\"details\":[";
        for (std::size_t i = 0; i < page.details.size(); ++i) out += (i == 0 ? "" : ",") + json_string(page.details[i]);
        out += "]";
    }
    return out + "}\n";
}

std::string text(const ErrorPage& page) {
    std::string out =
        std::to_string(page.status) + " " + std::string(page.title) + "\n" + std::string(page.sentence) + "\n";
    for (const std::string& line : page.details) out += "  | " + line + "\n";
    out += "error: " + std::string(page.error) + "\n";
    if (!page.request_id.empty()) out += "request: " + std::string(page.request_id) + "\n";
    return out;
}

}  // namespace

config::PageFormat choose_format(config::PageFormat configured, std::string_view accept) {
    if (configured != config::PageFormat::automatic) return configured;
    std::string wanted{accept};
    std::transform(wanted.begin(), wanted.end(), wanted.begin(), http::lower);
    config::PageFormat best = config::PageFormat::text;
    unsigned best_weight = 0;
    http::for_each_element(wanted, [&](std::string_view range) {
        const auto format = format_of(range.substr(0, range.find(';')));
        const unsigned weight = format ? weight_of(range) : 0;
        if (weight > best_weight) {  // of equals the first
            best = *format;
            best_weight = weight;
        }
        return true;
    });
    return best;
}

Page render(const ErrorPage& page, config::PageFormat format) {
    switch (format) {
        case config::PageFormat::html:
            return {"text/html; charset=utf-8", html(page)};
        case config::PageFormat::json:
            return {"application/problem+json", problem(page)};
        case config::PageFormat::automatic:
        case config::PageFormat::text:
            break;
    }
    return {"text/plain; charset=utf-8", text(page)};
}

}  // namespace edgeproxy::respond
