// SPDX-License-Identifier: Apache-2.0
#include "config/writer.hpp"

#include <algorithm>
#include <stdexcept>

#include "config/fields.hpp"

namespace edgeproxy::config {

namespace {

bool is_plain(std::string_view text) {
    if (text.empty() || text.front() == '-' || text == "null" || text == "Null" || text == "NULL") return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
               c == '.' || c == '/';
    });
}

std::string written(std::string_view text, std::string_view dollar) {
    if (is_plain(text)) return std::string(text);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string result = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            result += {'\\', c};
        } else if (c == '$') {
            result += dollar;
        } else if (c == '\n') {
            result += "\\n";
        } else if (byte < 0x20 || byte == 0x7f) {
            result += {'\\', 'x', digits[byte / 16], digits[byte % 16]};
        } else {
            result += c;
        }
    }
    return result + '"';
}

}  // namespace

std::string yaml_key(std::string_view text) {
    return written(text, "$");
}

std::string yaml_scalar(std::string_view text) {
    return written(text, "$$");
}
const Field& YamlWriter::field(std::string_view key) const {
    const Field* row = find_field(row_of(key));
    if (row == nullptr) throw std::logic_error("no row in the field table for " + row_of(key));
    return *row;
}

void YamlWriter::line(std::string_view key, const Field&, const std::string& value) {
    if (!value.empty()) text_ += indent() + yaml_key(key) + ": " + yaml_scalar(value) + "\n";
}

void YamlWriter::flow(std::string_view key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    std::string joined;
    for (const auto& text : texts) joined += (joined.empty() ? "" : ", ") + yaml_scalar(text);
    text_ += indent() + yaml_key(key) + ": [" + joined + "]\n";
}

void YamlWriter::operator()(std::string_view key, const std::map<std::string, std::string>& map) {
    if (map.empty()) return;
    text_ += indent() + yaml_key(key) + ":\n";
    for (const auto& [name, value] : map) {
        const auto shown = options_.hide_secrets ? std::string("***") : value;
        text_ += indent() + "  " + yaml_key(name) + ": " + yaml_scalar(shown) + "\n";
    }
}

void YamlWriter::attach(std::string_view key, const YamlWriter& child) {
    if (!child.text_.empty()) text_ += indent() + yaml_key(key) + ":\n" + child.text_;
}

void YamlWriter::element(const YamlWriter& child) {
    if (child.text_.empty()) return;
    std::string lines = child.text_;
    lines.replace(depth_ * 2, 2, "- ");
    text_ += lines;
}

void YamlWriter::worker(Pool& pool) {
    if (!pool.managed) return;
    Command& command = pool.command;
    if (options_.for_proxy || command.argv.empty()) {
        nest("managed", [&](YamlWriter& child) { managed_fields(child, command); });
        return;
    }
    flow("command", command.argv);
    auto kind = static_cast<KindChoice>(command.kind);
    auto bind = static_cast<BindChoice>(command.bind);
    fields(*this, command, kind, bind);
}

void YamlWriter::own_tls(Listener& listener) {
    if (!listener.own_tls) return (*this)("tls", listener.tls);
    YamlWriter child(options_, "tls", depth_ + 1);
    fields(child, *listener.own_tls);
    attach("tls", child);
}

std::string to_yaml(const Config& config, const DumpOptions& options) {
    YamlWriter writer(options, "", 0);
    Config copy = config;
    fields(writer, copy);
    return writer.text();
}

}  // namespace edgeproxy::config
