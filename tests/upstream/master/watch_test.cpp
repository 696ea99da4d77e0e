// SPDX-License-Identifier: Apache-2.0
// Watching folders: what is decided, and what editors and tools really do to files.
#include "upstream/master/watch.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <set>
#include <thread>

#include "support.hpp"

namespace edgeproxy::master {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

TEST_CASE("a pattern fits whole names; ** stands for any folders, none too", "[watch]") {
    const auto [pattern, path, fits] = GENERATE(table<std::string, std::string, bool>({
        {"**/*.py", "main.py", true},
        {"**/*.py", "app/api/views.py", true},
        {"**/*.py", "main.pyc", false},
        {"**/*.py", "main.py/readme", false},
        {"*.py", "main.py", true},
        {"*.py", "app/main.py", false},
        {"app/**", "app/x/y.html", true},
        {"app/**", "apps/x", false},
        {"app/**/views.py", "app/views.py", true},
        {"app/**/views.py", "app/a/b/views.py", true},
        {"templates/*.htm?", "templates/a.html", true},
        {"templates/*.htm?", "templates/a.htm", false},
        {"a*b*c", "aXXbYYc", true},
        {"a*b*c", "aXXbYY", false},
        {"**", "anything/at/all", true},
        {"main.py", "main.py", true},
        {"", "main.py", false},
    }));
    INFO(pattern << " on " << path);
    CHECK(fits_pattern(pattern, path) == fits);
}

TEST_CASE("a pattern full of stars costs no more than its length times the name's", "[watch]") {
    const std::string stars(200, '*'), many = "a" + std::string(400, 'b');
    CHECK_FALSE(fits_pattern(stars + "c", many));
    std::string deep, folders;
    for (int i = 0; i < 60; ++i) deep += "**/", folders += "x/";
    CHECK_FALSE(fits_pattern(deep + "c", folders + "d"));
}

TEST_CASE("folders and files that nobody edits a program in are ignored", "[watch]") {
    for (const char* name : {".git", ".venv", ".mypy_cache", "__pycache__", "node_modules", "venv"})
        CHECK(is_ignored_folder(name));
    for (const char* name : {"app", "environment", "migrations"}) CHECK_FALSE(is_ignored_folder(name));
    for (const char* name : {".main.py.swp", "main.py~", "4913", "#main.py#", ".#main.py", ""})
        CHECK(is_ignored_file(name));
    for (const char* name : {"main.py", "4914", "x~y.py"}) CHECK_FALSE(is_ignored_file(name));
}

TEST_CASE("a burst is waited out, but not for ever", "[watch]") {
    Debounce debounce;
    const io::TimePoint begin{1h};
    CHECK_FALSE(debounce.due());
    debounce.note(begin);
    CHECK(*debounce.due() == begin + 50ms);
    debounce.note(begin + 40ms);
    CHECK(*debounce.due() == begin + 90ms);
    for (auto at = 80ms; at < 1000ms; at += 40ms) debounce.note(begin + at);
    CHECK(*debounce.due() == begin + 500ms);
    debounce.clear();
    CHECK_FALSE(debounce.due());
}

TEST_CASE("a checkout of 200 files is one change", "[watch]") {
    using namespace std::chrono_literals;
    Debounce debounce;
    io::TimePoint now{};
    for (int file = 0; file < 200; ++file) {  // three events each, as git makes them
        for (int event = 0; event < 3; ++event) {
            CHECK((!debounce.due() || *debounce.due() > now));
            debounce.note(now);
        }
        now += 2ms;
    }
    CHECK(debounce.due() == now - 2ms + Debounce::quiet);
}

TEST_CASE("what differs is what is new, gone or of another stamp", "[watch]") {
    const FileStamps before{{"a", {1, 1, 1}}, {"b", {1, 1, 1}}, {"c", {1, 1, 1}}};
    const FileStamps after{{"a", {1, 1, 1}}, {"b", {1, 1, 2}}, {"d", {1, 1, 1}}};
    CHECK(differences(before, after) == std::vector<std::string>{"b", "c", "d"});
    CHECK(differences(before, before).empty());
    CHECK(differences({}, after) == std::vector<std::string>{"a", "b", "d"});
    CHECK(describe_files({"a"}) == "a");
    CHECK(describe_files({"a", "b"}) == "a and 1 other file");
    CHECK(describe_files({"a", "b", "c"}) == "a and 2 other files");
}

// A folder of Python files under watch.
struct Folder {
    Folder() {
        write_file(scratch.path("main.py"), "print(1)\n");
        fs::create_directories(scratch.path("app"));
        write_file(scratch.path("app/views.py"), "x = 1\n");
        watch = std::make_unique<Watch>(loop, log, scratch.path(), std::vector<std::string>{"**/*.py"},
                                        [this](const std::vector<std::string>& files) {
                                            seen.insert(files.begin(), files.end());
                                            ++times;
                                        });
        std::string error;
        REQUIRE(watch->start(error));
    }
    // Turns the loop until `ask` holds.
    bool until(const std::function<bool()>& ask, std::chrono::seconds limit = 10s) {
        const auto end = std::chrono::steady_clock::now() + limit;
        while (!ask() && std::chrono::steady_clock::now() < end) loop.run_for(5ms);
        return ask();
    }
    bool sees(const std::string& file) {
        return until([&] { return seen.count(file) > 0; });
    }
    // True if a change to another file is the next thing that is told: what came before it told nothing.
    bool was_quiet() {
        write_file(scratch.path("marker.py"), std::to_string(++markers));
        return sees("marker.py") && seen.size() == 1;
    }

    Scratch scratch;
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::debug};
    std::set<std::string> seen;
    unsigned times = 0;
    int markers = 0;
    std::unique_ptr<Watch> watch;
};

TEST_CASE("a change is told however it is made", "[watch]") {
    Folder folder;
    const std::string file = folder.scratch.path("main.py"), other = folder.scratch.path("new");
    SECTION("written into") {
        write_file(file, "print(22)\n");
    }
    SECTION("written beside and moved over it, as most editors do") {
        write_file(other, "print(22)\n");
        fs::rename(other, file);
    }
    SECTION("moved away and written anew, as vim does") {
        fs::rename(file, file + "~");
        write_file(file, "print(22)\n");
        fs::remove(file + "~");
    }
    SECTION("removed") {
        fs::remove(file);
    }
    SECTION("a second time after an atomic save") {
        write_file(other, "print(22)\n");
        fs::rename(other, file);
        REQUIRE(folder.sees("main.py"));
        folder.seen.clear();
        write_file(other, "print(333)\n");
        fs::rename(other, file);
    }
    CHECK(folder.sees("main.py"));
}

TEST_CASE("files of new folders are told, also of those that were moved in or away whole", "[watch]") {
    Folder folder;
    fs::create_directories(folder.scratch.path("pkg/deep"));
    write_file(folder.scratch.path("pkg/deep/a.py"), "1");
    REQUIRE(folder.sees("pkg/deep/a.py"));
    folder.seen.clear();
    write_file(folder.scratch.path("pkg/deep/a.py"), "22");
    REQUIRE(folder.sees("pkg/deep/a.py"));
    folder.seen.clear();
    fs::rename(folder.scratch.path("pkg"), folder.scratch.path("moved"));
    CHECK(folder.sees("pkg/deep/a.py"));
    CHECK(folder.sees("moved/deep/a.py"));
    folder.seen.clear();
    write_file(folder.scratch.path("moved/deep/a.py"), "333");
    CHECK(folder.sees("moved/deep/a.py"));
}

TEST_CASE("what is no change of a watched file is not told", "[watch]") {
    Folder folder;
    SECTION("another kind of file") {
        write_file(folder.scratch.path("notes.txt"), "x");
    }
    SECTION("an ignored folder") {
        fs::create_directories(folder.scratch.path("__pycache__"));
        fs::create_directories(folder.scratch.path(".git"));
        write_file(folder.scratch.path("__pycache__/main.py"), "x");
        write_file(folder.scratch.path(".git/x.py"), "x");
    }
    SECTION("an editor's helper files") {
        write_file(folder.scratch.path(".main.py.swp"), "x");
        write_file(folder.scratch.path("4913"), "x");
        fs::remove(folder.scratch.path("4913"));
    }
    SECTION("read only") {
        read_file(folder.scratch.path("main.py"));
    }
    SECTION("moved away and back") {
        fs::rename(folder.scratch.path("main.py"), folder.scratch.path("main.bak"));
        fs::rename(folder.scratch.path("main.bak"), folder.scratch.path("main.py"));
    }
    CHECK(folder.was_quiet());
}

TEST_CASE("200 files at once are few changes", "[watch]") {
    Folder folder;
    for (int i = 0; i < 200; ++i) write_file(folder.scratch.path("app/f" + std::to_string(i) + ".py"), "x = 1\n");
    REQUIRE(folder.until([&] { return folder.seen.size() == 200; }));
    CHECK(folder.times <= 5);
}

TEST_CASE("a watch that is given up in the same turn in which it has something to tell tells nothing", "[watch]") {
    Scratch scratch;
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::debug};
    unsigned told = 0;
    std::unique_ptr<Watch> one, other;
    const auto watch = [&](std::unique_ptr<Watch>& mine, std::unique_ptr<Watch>& of_other) {
        mine = std::make_unique<Watch>(loop, log, scratch.path(), std::vector<std::string>{"*.py"}, [&](const auto&) {
            ++told;
            of_other.reset();
        });
        std::string error;
        REQUIRE(mine->start(error));
    };
    watch(one, other);
    watch(other, one);
    write_file(scratch.path("main.py"), "print(1)\n");
    loop.poll();
    loop.poll();                                          // both have seen it, and wait until it is quiet
    std::this_thread::sleep_for(Debounce::quiet + 10ms);  // both are due in one turn
    loop.poll();
    CHECK(told == 1);
    CHECK((one == nullptr) != (other == nullptr));
}

TEST_CASE("a folder that cannot be listed is told once and the rest is watched", "[watch]") {
    if (::geteuid() == 0) {
        WARN("SKIPPED: root may list every folder");
        return;
    }
    Scratch scratch;
    fs::create_directories(scratch.path("closed"));
    ::chmod(scratch.path("closed").c_str(), 0);
    boost::asio::io_context loop;
    config::Log log{config::LogLevel::debug};
    Watch watch(loop, log, scratch.path(), {"**/*.py"}, [](const auto&) {});
    std::string error;
    CHECK(watch.start(error));
    unsigned warnings = 0;
    log.drain([&](config::LogRecord&& record) { warnings += record.event == std::string("watch_incomplete"); });
    CHECK(warnings == 1);
    ::chmod(scratch.path("closed").c_str(), 0700);
}

}  // namespace
}  // namespace edgeproxy::master
