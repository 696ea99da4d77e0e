// SPDX-License-Identifier: Apache-2.0
#include "config/env_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <optional>
#include <sstream>

namespace edgeproxy::config {

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

bool is_variable_name(std::string_view name) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
               c == '-';
    };
    return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
           std::all_of(name.begin(), name.end(), fits);
}

class EnvReader {
 public:
    EnvReader(std::string_view text, const std::string& name, std::map<std::string, std::string>& environment,
              Problems& problems)
        : rest_(text), name_(name), environment_(environment), problems_(problems) {}

    void run() {
        while (!rest_.empty()) {
            ++line_;
            auto line = trimmed(rest_.substr(0, rest_.find('\n')));
            if (line.starts_with("export ")) line = trimmed(line.substr(7));
            if (line.empty() || line.front() == '#') {
                next_line();
            } else {
                assignment(line);
            }
        }
    }

 private:
    void next_line() {
        const auto end = rest_.find('\n');
        rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    }

    void error(std::string text, std::string hint) {
        problems_.add({Severity::error, name_, line_, 1, 1, "bad-env-file", std::move(text), std::move(hint)});
    }

    void assignment(std::string_view line) {
        const auto equals = line.find('=');
        const auto name = trimmed(line.substr(0, equals));
        if (equals == std::string_view::npos || !is_variable_name(name)) {
            error("this line is not NAME=value", "comments begin with #");
            next_line();
            return;
        }
        auto value = line.substr(equals + 1);
        while (!value.empty() && is_blank(value.front())) value.remove_prefix(1);
        const bool quoted = value.starts_with('"') || value.starts_with('\'');
        const auto read = quoted ? quoted_value(value) : plain_value(value);
        if (!read) {
            error("a quote is not closed", {});
            rest_ = {};
            return;
        }
        if (read->find('\0') != std::string::npos) error("a zero byte cannot stand in an environment", {});
        environment_[std::string(name)] = *read;
        next_line();
    }

    static std::optional<std::string> plain_value(std::string_view value) {
        const auto comment = value.find(" #");
        return std::string(trimmed(value.starts_with('#') ? std::string_view{} : value.substr(0, comment)));
    }

    /// `value` begins with the quote and points into `rest_`, whose front is then moved to the line where the value
    /// ends.
    std::optional<std::string> quoted_value(std::string_view value) {
        rest_.remove_prefix(static_cast<std::size_t>(value.data() - rest_.data()));
        const char quote = rest_.front();
        std::string result;
        for (std::size_t i = 1; i < rest_.size(); ++i) {
            const char c = rest_[i];
            if (c == quote) {
                rest_.remove_prefix(i);
                return result;
            }
            if (c == '\n') ++line_;
            const bool escape = quote == '"' && c == '\\' && i + 1 < rest_.size();
            result += escape ? escaped(rest_[++i], result) : c;
        }
        return std::nullopt;
    }

    static char escaped(char c, std::string& result) {
        constexpr std::string_view letters = "ntr\"\\$", meant = "\n\t\r\"\\$";
        const auto at = letters.find(c);
        if (at == std::string_view::npos) {
            result += '\\';
            return c;
        }
        return meant[at];
    }

    std::string_view rest_;
    const std::string& name_;
    std::map<std::string, std::string>& environment_;
    Problems& problems_;
    unsigned line_ = 0;
};

}  // namespace

void read_env_text(std::string_view text, const std::string& name, std::map<std::string, std::string>& environment,
                   Problems& problems) {
    EnvReader(text, name, environment, problems).run();
}

void read_env_file(const std::string& path, Place place, std::map<std::string, std::string>& environment,
                   Problems& problems) {
    std::ifstream file(path, std::ios::binary);
    std::string text(largest_env_file + 1, '\0');
    if (!file) {
        problems.error(place, "no-file", "cannot read \"" + path + "\": " + std::strerror(errno));
        return;
    }
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    if (file.bad()) {
        problems.error(place, "no-file", "cannot read \"" + path + "\"");
    } else if (text.size() > largest_env_file) {
        problems.error(place, "too-large", "\"" + path + "\" is larger than 1 MiB");
    } else {
        read_env_text(text, path, environment, problems);
    }
}

}  // namespace edgeproxy::config
