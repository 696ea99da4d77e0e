// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/arguments.hpp"

#include "config/text.hpp"
#include "config/units.hpp"
#include "config/writer.hpp"

namespace edgeproxy::cli {

std::optional<std::string> Arguments::next() {
    if (given_) complain("option " + config::in_quotes(option_) + " takes no value");
    if (rest_.empty() || !complaint_.empty()) return std::nullopt;
    std::string word = rest_.front();
    rest_ = rest_.subspan(1);
    if (word == "--") return std::nullopt;
    option_ = word;
    const auto equals = word.starts_with("--") ? word.find('=') : std::string::npos;
    if (equals == std::string::npos) return word;
    option_ = word.substr(0, equals);
    given_ = word.substr(equals + 1);
    return option_;
}

std::string Arguments::value() {
    if (given_) {
        const std::string text = *given_;
        given_.reset();
        return text;
    }
    if (rest_.empty() || rest_.front() == "--") {
        complain("option " + config::in_quotes(option_) + " needs a value");
        return {};
    }
    std::string text = rest_.front();
    rest_ = rest_.subspan(1);
    return text;
}

unsigned Arguments::count(unsigned low, unsigned high) {
    const std::string text = value();
    const auto number = config::parse_count(text);
    if (number.value && *number.value >= low && *number.value <= high) return static_cast<unsigned>(*number.value);
    complain(config::in_quotes(text) + " is no value of " + config::in_quotes(option_),
             "a number from " + std::to_string(low) + " to " + std::to_string(high));
    return low;
}

void Arguments::complain(std::string text, std::string hint) {
    given_.reset();
    if (!complaint_.empty()) return;
    complaint_ = std::move(text);
    hint_ = std::move(hint);
}

std::string yaml_text(const std::string& text) {
    return text.empty() ? "\"\"" : config::yaml_scalar(text);
}

std::string yaml_list(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + yaml_text(text);
    return "[" + out + "]";
}

}  // namespace edgeproxy::cli
