// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <string>

#include "proxy/admin/access_lines.hpp"

// Lines of bytes become the texts of a record. Whatever they hold, each format makes one line without a control byte,
// and the JSON one is strict JSON in UTF-8.
namespace {

using namespace edgeproxy::admin;

void must(bool holds) {
    if (!holds) std::abort();
}

/// A strict reader of the one flat object that the log writes.
class Json {
 public:
    explicit Json(std::string_view text) : text_(text) {}
    void object() {
        take('{');
        for (bool first = true; peek() != '}'; first = false) {
            if (!first) take(',');
            string();
            take(':');
            value();
        }
        take('}');
        must(at_ == text_.size());
    }

 private:
    char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
    void take(char c) {
        must(peek() == c);
        ++at_;
    }
    void value() {
        if (peek() == '"') return string();
        const std::size_t begin = at_;
        while ((peek() >= '0' && peek() <= '9') || (peek() >= 'a' && peek() <= 'z') || peek() == '.' || peek() == '-')
            ++at_;
        const std::string_view word = text_.substr(begin, at_ - begin);
        must(word == "true" || word == "false" || word == "null" ||
             (!word.empty() && word.find_first_not_of("0123456789.-e") == std::string_view::npos));
    }
    void string() {
        take('"');
        while (peek() != '"') {
            if (peek() == '\\') {
                ++at_;
                if (peek() == 'u') {
                    for (int i = 0; i < 4; ++i)
                        must(std::string_view("0123456789abcdefABCDEF").find(text_[++at_]) != std::string_view::npos);
                } else {
                    must(std::string_view("\"\\/bfnrt").find(peek()) != std::string_view::npos);
                }
                ++at_;
            } else {
                character();
            }
        }
        take('"');
    }
    /// One character of UTF-8, in its shortest form, no surrogate.
    void character() {
        must(at_ < text_.size());
        const auto first = static_cast<unsigned char>(text_[at_++]);
        must(first >= 0x20 && first != 0x7f);
        if (first < 0x80) return;
        const int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        must(first >= 0xc2 && first <= 0xf4);
        std::uint32_t code = first & (0x3fu >> more);
        for (int i = 0; i < more; ++i) {
            must(at_ < text_.size() && (static_cast<unsigned char>(text_[at_]) & 0xc0) == 0x80);
            code = code << 6 | (static_cast<unsigned char>(text_[at_++]) & 0x3fu);
        }
        must(code >= (more == 1   ? 0x80u
                      : more == 2 ? 0x800u
                                  : 0x10000u) &&
             code <= 0x10ffff && (code < 0xd800 || code > 0xdfff));
    }
    std::string_view text_;
    std::size_t at_ = 0;
};

void check_line(std::string_view line) {
    must(line.ends_with('\n'));
    line.remove_suffix(1);
    for (const char c : line) must(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 2, size - 2);
    ExchangeRecord record;
    record.status = (data[0] * 7u) % 1000u;
    record.has_query = (data[1] & 1) != 0;
    record.websocket = (data[1] & 2) != 0;
    record.bytes_in = data[1] * std::uint64_t{0x0101010101010101};
    record.total = std::chrono::nanoseconds(static_cast<std::int64_t>(data[0]) << (data[1] % 50));
    for (std::string_view* text :
         {&record.path, &record.query, &record.user_agent, &record.referer, &record.host, &record.method_text,
          &record.endpoint, &record.request_id, &record.client_ip, &record.peer}) {
        const std::size_t end = rest.find('\n');
        *text = rest.substr(0, end);
        if (end == std::string_view::npos) break;
        rest.remove_prefix(end + 1);
    }
    AccessLines lines;
    std::string out;
    lines.append_json(out, record);
    check_line(out);
    Json(std::string_view(out).substr(0, out.size() - 1)).object();
    for (int format = 0; format < 2; ++format) {
        out.clear();
        if (format == 0) lines.append_combined(out, record);
        if (format == 1) lines.append_console(out, record, false, true);
        check_line(out);
    }
    return 0;
}
