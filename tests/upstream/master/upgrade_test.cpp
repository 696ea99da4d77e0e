// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/upgrade.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "support.hpp"
#include "upstream/control/channel.hpp"
#include "upstream/master/resources.hpp"

namespace edgeproxy::master {
namespace {

using std::chrono::milliseconds;

class Listener final : public Asker {
 public:
    void result(std::string_view text) override { said += text; }
    void note(std::string_view text) override { said += text; }
    void done(int exit_code) override { code = exit_code; }
    void leaving() override {}
    std::string said;
    std::optional<int> code;
};

/// A house with nothing in it, and a shell script for the new binary.
class Scene {
 public:
    explicit Scene(Upgrade::Times times = {}) : upgrade(loop, log, outside(), times) {}

    void program(const std::string& script, mode_t mode = 0755) {
        write_file(path, "#!/bin/sh\n" + script + "\n");
        ::chmod(path.c_str(), mode);
    }
    std::shared_ptr<Listener> ask() {
        auto asker = std::make_shared<Listener>();
        upgrade.ask(asker, "a test");
        return asker;
    }
    bool until(const std::function<bool()>& so) {
        return within(20, [&] {
            loop.restart();
            loop.run_for(milliseconds(5));
            int status = 0;
            for (pid_t pid = 0; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) upgrade.on_exit(pid, status);
            return so();
        });
    }
    std::uint64_t count(Upgrade::Result result) const { return upgrade.counts()[static_cast<std::size_t>(result)]; }

    Scratch scratch;
    std::string path = scratch.path("edgeproxy");
    std::string forbidden, half_done;
    int executed = 0;
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::error};
    Upgrade upgrade;

 private:
    Upgrade::Outside outside() {
        Upgrade::Outside out;
        out.program = path;
        out.arguments = {"edgeproxy", "-c", "stack.yaml"};
        out.environment = {"PATH=/usr/bin:/bin"};
        out.forbidden = [this] { return forbidden; };
        out.half_done = [this] { return half_done; };
        out.state = [] { return *control::make_sealed("state", std::string("the state")); };
        out.execute = [this] { ++executed; };
        out.counted = [] {};
        return out;
    }
};

const std::string accepts = std::string("echo '") + state_accepted + "1.2'";

TEST_CASE("a program that reads the state and accepts it is executed", "[upgrade]") {
    Scene scene;
    scene.program("[ \"$*\" = '-c stack.yaml --check-state=3' ] && [ \"$(cat /proc/self/fd/3)\" = 'the state' ] && " +
                  accepts);
    const auto asker = scene.ask();
    REQUIRE(scene.until([&] { return scene.executed == 1; }));
    CHECK(scene.upgrade.ready_to_execute());
    CHECK_FALSE(asker->code);
    scene.upgrade.not_executed("no memory");
    CHECK(asker->code == ExitCode::refused);
    CHECK(asker->said.find("upgrade refused, nothing has changed: cannot execute") != std::string::npos);
    CHECK_FALSE(scene.upgrade.is_busy());
}

TEST_CASE("a program that does not accept the state is refused with what it said", "[upgrade]") {
    struct Case {
        std::string script;
        mode_t mode;
        std::string words;
    };
    const auto [script, mode, words] = GENERATE(values<Case>({
        {"exit 1", 0755, "the new program ended: exit 1"},
        {"exit 0", 0755, "did not say that it accepts the state"},
        {accepts + "; exit 3", 0755, "the new program ended: exit 3"},
        {"echo it does not know version 7 >&2; exit 7", 0755, "it does not know version 7"},
        {"kill -9 $$", 0755, "the new program ended: signal 9 (SIGKILL)"},
        {accepts, 0644, "cannot be started: Permission denied"},
    }));
    Scene scene;
    scene.program(script, mode);
    const auto asker = scene.ask();
    REQUIRE(scene.until([&, asker = asker] { return asker->code.has_value(); }));
    CHECK(asker->code == ExitCode::refused);
    INFO(asker->said);
    CHECK(asker->said.find(words) != std::string::npos);
    CHECK(scene.executed == 0);
    CHECK(scene.count(Upgrade::Result::refused) == 1);
    CHECK_FALSE(scene.upgrade.last_failure().empty());
}

TEST_CASE("a program that is not there is refused", "[upgrade]") {
    Scene scene;
    const auto asker = scene.ask();
    CHECK(asker->code == ExitCode::refused);
    CHECK(asker->said.find("No such file or directory") != std::string::npos);
}

TEST_CASE("a program that hangs is ended and refused", "[upgrade]") {
    Scene scene({.check = milliseconds(150)});
    scene.program("echo $$ > " + scene.scratch.path("pid") + "; sleep 1000");
    const auto asker = scene.ask();
    REQUIRE(scene.until([&] { return asker->code.has_value(); }));
    CHECK(asker->said.find("did not judge our state") != std::string::npos);
    const std::string pid = read_file(scene.scratch.path("pid"));
    if (!pid.empty()) CHECK_FALSE(is_running(std::stoi(pid)));
}

TEST_CASE("one at a time, and none where it is forbidden", "[upgrade]") {
    Scene scene;
    scene.program("sleep 1000");
    const auto first = scene.ask();
    const auto second = scene.ask();
    CHECK(second->code == ExitCode::refused);
    CHECK(second->said == "edgeproxy: an upgrade is under way\n");
    scene.upgrade.give_up();
    CHECK(first->said.find("it is stopping") != std::string::npos);
    scene.forbidden = "server.upgrade is off";
    CHECK(scene.ask()->said == "edgeproxy: server.upgrade is off\n");
    CHECK(scene.count(Upgrade::Result::refused) == 3);
    REQUIRE(scene.until([] { return ::waitpid(-1, nullptr, WNOHANG) < 0; }));
}

TEST_CASE("what is half done is waited for, before the check and before the exec, but not for ever", "[upgrade]") {
    Scene scene({.wait = milliseconds(100), .again = milliseconds(5)});
    scene.program(accepts);
    scene.half_done = "workers of pool app are being replaced";
    SECTION("it ends in time") {
        const auto asker = scene.ask();
        CHECK(scene.upgrade.is_busy());
        scene.half_done.clear();
        REQUIRE(scene.until([&] { return scene.executed == 1; }));
        scene.half_done = "a reload is under way";
        CHECK_FALSE(scene.upgrade.ready_to_execute());
        CHECK_FALSE(asker->code);
        scene.half_done.clear();
        REQUIRE(scene.until([&] { return scene.executed == 2 || asker->code; }));
    }
    SECTION("it does not") {
        const auto asker = scene.ask();
        REQUIRE(scene.until([&] { return asker->code.has_value(); }));
        CHECK(asker->said.find("workers of pool app are being replaced") != std::string::npos);
        CHECK(scene.executed == 0);
    }
}

TEST_CASE("a program that was exchanged after it was looked at is not executed", "[upgrade]") {
    Scene scene;
    scene.program(accepts);
    const auto asker = scene.ask();
    REQUIRE(scene.until([&] { return scene.executed == 1; }));
    ::unlink(scene.path.c_str());
    scene.program("something else");
    CHECK_FALSE(scene.upgrade.ready_to_execute());
    CHECK(asker->said.find("has changed since it was looked at") != std::string::npos);
}

TEST_CASE("the next program tells whoever asked how it ended", "[upgrade]") {
    Scene scene;
    const auto asker = std::make_shared<Listener>();
    scene.upgrade.resume({{1, 2, 3}, "", "0.0.9", 5, io::Clock::real().now()}, asker);
    CHECK(scene.upgrade.is_busy());
    SECTION("well") {
        scene.upgrade.took_over("");
        CHECK(asker->code == ExitCode::done);
        CHECK(asker->said.starts_with("upgraded from version 0.0.9 to " EDGEPROXY_VERSION " in "));
        CHECK(scene.count(Upgrade::Result::ok) == 2);
    }
    SECTION("not well") {
        scene.upgrade.took_over("the new proxy process ended: exit 1");
        CHECK(asker->code == ExitCode::refused);
        CHECK(asker->said.find("the new proxy process ended: exit 1") != std::string::npos);
        CHECK(scene.count(Upgrade::Result::failed) == 4);
    }
    CHECK_FALSE(scene.upgrade.is_busy());
}

}  // namespace
}  // namespace edgeproxy::master
