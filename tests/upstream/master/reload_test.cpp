// SPDX-License-Identifier: Apache-2.0
#include "upstream/master/reload.hpp"

#include <sys/wait.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "config/load.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const config::Config> plan(const std::string& body) {
    const config::LoadResult loaded = config::load_text(
        "listeners: { web: { address: '127.0.0.1:0', tls: false } }\nmetrics: { enabled: false }\n"
        "routes: [{ respond: { status: 200, body: " +
            body + " } }]\n",
        "stack.yaml");
    REQUIRE(loaded.config);
    return loaded.config;
}

/// Keeps what it is told.
class Listening final : public Asker {
 public:
    void result(std::string_view) override {}
    void note(std::string_view text) override { notes += text; }
    void done(int exit_code) override { code = exit_code; }
    void leaving() override {}
    std::string notes;
    int code = -1;
};

/// A reload with a proxy that answers as the test wishes.
struct Scene {
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::error};
    std::shared_ptr<const config::Config> current = plan("before");
    Resources resources;
    std::vector<std::string> told;
    std::uint64_t asked = 0;  // the generation that the proxy was told last
    int ended = 0, adopted = 0;
    std::shared_ptr<Listening> asker = std::make_shared<Listening>();
    Reload reload{loop, log, outside()};

    Reload::Outside outside() {
        Reload::Outside out;
        out.load = [] { return Checked{plan("after"), {}}; };
        out.can_begin = [] { return true; };
        out.tell_proxy = [this](control::Message message) {
            told.emplace_back(control::name(message));
            if (const auto* config = std::get_if<control::ConfigMessage>(&message)) asked = config->generation;
        };
        out.end_proxy = [this] { ++ended; };
        out.current = [this] { return current; };
        out.resources = [this]() -> Resources& { return resources; };
        out.adopt = [this](std::shared_ptr<const config::Config> config, Resources next) {
            current = std::move(config);
            resources = std::move(next);
            ++adopted;
            return Reload::Adopted{};
        };
        out.managed_pools = [] { return std::vector<std::string>{}; };
        out.counted = [] {};
        out.proxy_timeout = 50ms;
        return out;
    }
    bool was_told(const std::string& what) const { return std::find(told.begin(), told.end(), what) != told.end(); }
    /// Up to the question to the proxy.
    void ask() {
        reload.ask(false, false, asker, "test");
        int status = 0;
        const pid_t child = ::waitpid(-1, &status, 0);
        REQUIRE(reload.on_exit(child, status));
        REQUIRE(asked == 2);
    }
    void wait(std::chrono::milliseconds length) {
        loop.restart();
        loop.run_for(length);
    }
};

TEST_CASE("a proxy that has not said whether it can take a configuration is asked to forget it", "[reload]") {
    Scene scene;
    scene.ask();
    scene.wait(500ms);
    CHECK(scene.asker->code == ExitCode::refused);
    CHECK(scene.was_told("forget"));
    CHECK(scene.ended == 0);
    CHECK(scene.asker->notes.find("nothing has changed") != std::string::npos);
}

TEST_CASE("a proxy that does not answer a commit is ended, and its end is the verdict", "[reload]") {
    Scene scene;
    scene.ask();
    REQUIRE(scene.reload.heard(control::ConfigResult{scene.asked, true, {}}));
    scene.wait(500ms);
    CHECK(scene.ended == 1);
    CHECK(scene.asker->code == -1);
    CHECK(scene.reload.is_busy());
    CHECK_FALSE(scene.was_told("forget"));
    CHECK(scene.asker->notes.find("nothing has changed") == std::string::npos);
    CHECK(scene.asker->notes.find("it is ended") != std::string::npos);

    SECTION("with the configuration of before for its successor") {
        scene.reload.proxy_changed(false);
        CHECK(scene.asker->code == ExitCode::refused);
        CHECK(scene.reload.generation() == 1);
        CHECK(scene.adopted == 0);
        CHECK(scene.asker->notes.find("nothing has changed; configuration number 1 serves") != std::string::npos);
    }
    SECTION("or with the new one, if its last word was that it has it") {
        scene.reload.heard(control::Committed{scene.asked});
        scene.reload.proxy_changed(false);
        CHECK(scene.asker->code == ExitCode::done);
        CHECK(scene.reload.generation() == 2);
        CHECK(scene.adopted == 1);
    }
}

}  // namespace
}  // namespace edgeproxy::master
