// SPDX-License-Identifier: Apache-2.0
#include "config/key_pairs.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

namespace edgeproxy::config {

namespace {

namespace fs = std::filesystem;

bool holds_both(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::string text(largest_pem, '\0');
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(file.gcount()));
    return text.find("-----BEGIN CERTIFICATE-----") != std::string::npos &&
           text.find("PRIVATE KEY-----") != std::string::npos;
}

}  // namespace

KeyPairs find_key_pairs(const std::string& directory) {
    KeyPairs found;
    std::error_code error;
    std::set<std::string> names;
    for (auto entry = fs::directory_iterator(directory, error); !error && entry != fs::directory_iterator();
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        const std::string kind = entry->path().extension().string();
        const bool known = kind == ".crt" || kind == ".key" || kind == ".pem";
        std::error_code ignored;
        if (known && name.front() != '.' && fs::is_regular_file(entry->path(), ignored)) names.insert(name);
    }
    if (error) return {{}, {}, "cannot read the directory " + directory + ": " + error.message()};
    for (const std::string& name : names) {
        const fs::path path = fs::path(directory) / name;
        const fs::path kind = path.extension();
        if (kind == ".pem") {
            if (holds_both(path)) found.pairs.push_back({path.string(), path.string()});
            continue;
        }
        const fs::path other = fs::path(path).replace_extension(kind == ".crt" ? ".key" : ".crt");
        if (!names.contains(other.filename().string())) {
            found.unpaired.push_back(name);
        } else if (kind == ".crt") {
            found.pairs.push_back({path.string(), other.string()});
        }
    }
    if (found.pairs.size() > most_key_pairs)
        return {{}, {}, "more than " + std::to_string(most_key_pairs) + " certificates in " + directory};
    return found;
}

}  // namespace edgeproxy::config
