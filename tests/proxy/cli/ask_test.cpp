// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/ask.hpp"

#include <catch2/catch.hpp>
#include <sstream>

#include "upstream/control/exit_code.hpp"

using namespace edgeproxy::cli;
using edgeproxy::control::ExitCode;

TEST_CASE("the runtime directory is seen in a file that cannot be read", "[cli]") {
    const auto [text, found] = GENERATE(table<std::string, std::string>({
        {"server:\n  runtime_dir: /run/shop\nlisten: [", "/run/shop"},
        {"server: { threads: 2, runtime_dir: '/run/a b' }\nlisten: [", "/run/a b"},
        {"server:\n  runtime_dir: \"run\"  # here\n", "run"},
        {"# runtime_dir: /no\nserver:\n  runtime_dir: /yes\n", "/yes"},
        {"x: 1\n  old_runtime_dir: /no\n", ""},
        {"server:\n  runtime_dir:\n", ""},
        {"", ""},
    }));
    CHECK(written_runtime_dir(text) == found);
}

TEST_CASE("a control socket that is named is the one", "[cli]") {
    CommandLine command;
    command.verb = Verb::status;
    command.control = "/nowhere/control.sock";
    CHECK(find_addressee(command).socket == "/nowhere/control.sock");
    std::ostringstream out, err;
    CHECK(ask(command, out, err) == ExitCode::nobody);
    CHECK(out.str().empty());
    CHECK(err.str().find("no running edgeproxy found at /nowhere/control.sock") != std::string::npos);
}
