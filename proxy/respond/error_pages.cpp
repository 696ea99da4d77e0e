// SPDX-License-Identifier: Apache-2.0
#include "proxy/respond/error_pages.hpp"

#include <algorithm>
#include <cctype>

namespace edgeproxy::respond {
namespace {

std::string lower(std::string_view text) {
    std::string out{text};
    std::transform(out.begin(), out.end(), out.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
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

std::string json_escaped(std::string_view text) {
    constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte >= 0x7f) {
            // Latin-1 reading of bytes beyond ASCII: always valid JSON, whatever a worker printed.
            out += "\\u00";
            out += hex[byte >> 4];
            out += hex[byte & 15];
        } else {
            out += c;
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
    std::string out = "{\"type\":\"about:blank\",\"title\":\"" + json_escaped(page.title) +
                      "\",\"status\":" + std::to_string(page.status) + ",\"detail\":\"" + json_escaped(page.sentence) +
                      "\"";
    if (!page.request_id.empty()) out += ",\"instance\":\"" + json_escaped(page.request_id) + "\"";
    out += ",\"error\":\"" + json_escaped(page.error) + "\"";
    if (!page.details.empty()) {
        out += ",\"details\":[";
        for (std::size_t i = 0; i < page.details.size(); ++i)
            out += (i == 0 ? "\"" : ",\"") + json_escaped(page.details[i]) + "\"";
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
    const std::string wanted = lower(accept);
    const auto at = [&](std::string_view type) { return wanted.find(type); };
    const std::size_t html_at = std::min(at("text/html"), at("application/xhtml"));
    const std::size_t json_at = std::min(at("application/json"), at("+json"));
    if (html_at == std::string::npos && json_at == std::string::npos) return config::PageFormat::text;
    return html_at < json_at ? config::PageFormat::html : config::PageFormat::json;
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
