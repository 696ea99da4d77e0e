// SPDX-License-Identifier: Apache-2.0
#include "upstream/control/holder.hpp"

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

namespace edgeproxy::control {
namespace {

namespace fs = std::filesystem;

TEST_CASE("what a master says of itself comes back as it was said", "[holder]") {
    for (const Holder& one :
         {Holder{1, "/etc/edgeproxy/stack.yaml"}, Holder{4711, "edgeproxy run"}, Holder{2, "/a b/odd\nname.yaml"}}) {
        CHECK(decode_holder(encode(one)) == one);
    }
}

TEST_CASE("a lock of an older version, or of nobody, says less", "[holder]") {
    CHECK(decode_holder("4711") == Holder{4711, ""});
    for (const char* text : {"", "\n", "x\n/etc/stack.yaml\n", "-3\n/etc/stack.yaml\n", "99999999999999\nx\n"}) {
        INFO(text);
        CHECK(decode_holder(text) == Holder{});
    }
    CHECK(read_holder("/nowhere/lock") == Holder{});
}

TEST_CASE("names of one file are one file, whatever leads there", "[holder]") {
    std::string name = fs::temp_directory_path() / "holder-XXXXXX";
    const fs::path folder = ::mkdtemp(name.data());
    fs::create_directories(folder / "v1");
    std::ofstream(folder / "v1/stack.yaml") << "a";
    std::ofstream(folder / "other.yaml") << "a";
    fs::create_directory_symlink("v1", folder / "current");
    fs::create_hard_link(folder / "v1/stack.yaml", folder / "linked.yaml");
    const std::string file = folder / "v1/stack.yaml";

    CHECK(is_same_file(file, folder / "current/stack.yaml"));
    CHECK(is_same_file(file, folder / "linked.yaml"));
    CHECK(is_same_file(file, folder / "v1/../v1/./stack.yaml"));
    CHECK(is_same_file(file, fs::relative(file)));
    CHECK_FALSE(is_same_file(file, folder / "other.yaml"));
    CHECK_FALSE(is_same_file(file, folder / "missing.yaml"));
    CHECK(is_same_file(folder / "missing.yaml", folder / "missing.yaml"));
    fs::remove_all(folder);
}

}  // namespace
}  // namespace edgeproxy::control
