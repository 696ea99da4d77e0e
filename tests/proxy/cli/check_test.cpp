// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/check.hpp"

#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tls/certificates.hpp"
#include "upstream/control/exit_code.hpp"

using namespace edgeproxy;
using namespace edgeproxy::cli;
using control::ExitCode;

namespace {

constexpr auto a_day = std::chrono::hours(24);

/// A directory with a program, two certificates and whatever stack.yaml a test writes; gone at the end.
class Folder {
 public:
    Folder() {
        char pattern[] = "/tmp/edgeproxy-check-XXXXXX";
        path_ = ::mkdtemp(pattern);
        write("prog", "#!/bin/sh\n", 0755);
        write("plain", "no program\n", 0644);
        const auto one = tls::dev_certificate(std::chrono::system_clock::now()),
                   two = tls::dev_certificate(std::chrono::system_clock::now());
        write("one.pem", one.chain, 0644);
        write("one.key", one.key, 0600);
        write("two.key", two.key, 0600);
        write("open.key", one.key, 0644);
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;

    std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) {
        const std::string path = path_ + "/" + name;
        std::ofstream(path) << text;
        ::chmod(path.c_str(), mode);
        return path;
    }
    const std::string& path() const { return path_; }
    Machine machine(unsigned uid = 0) const {
        Machine machine;
        machine.uid = uid;
        machine.search_path = "/nowhere:" + path_;
        machine.open_files = 1024;
        machine.cpus = {0, 1};
        return machine;
    }

 private:
    std::string path_;
};

/// `2:1 error rule`, a line each.
std::string places(const config::LoadResult& loaded) {
    std::string all;
    for (const auto& p : loaded.problems) {
        all += std::to_string(p.line) + ":" + std::to_string(p.column) + " " + std::string(config::word(p.severity)) +
               " " + p.rule + "\n";
    }
    return all;
}

CommandLine asked(CheckFormat format) {
    CommandLine command;
    command.verb = Verb::check;
    command.format = format;
    return command;
}

}  // namespace

TEST_CASE("a mistake in an env file is not shown on a line of the plan, nor with one of its own", "[cli][check]") {
    Folder folder;
    const std::string env = folder.write("app.env", "A=1\nsecret without a name\n");
    const std::string file = folder.write(
        "stack.yaml", "listen: \":80\"\napp: { command: " + folder.path() + "/prog, env_file: " + env + " }\n");
    const std::string shown = describe_problems(load_and_check(file, true, folder.machine()));
    CHECK(shown ==
          env + ":2:1: error: this line is not NAME=value [bad-env-file]\n      | comments begin with #\n1 error\n");
}

TEST_CASE("check looks at what the plan needs of the machine, and points at it", "[cli][check]") {
    Folder folder;
    const std::string listen = "listen: \":8443\"\n", app = "app: prog\n", plain = "listen: \":81\"\n";
    const auto [text, expected] = GENERATE_COPY(table<std::string, std::string>({
        {plain + app, ""},
        {plain + "app: plain\n", "2:6 error no-program\n"},
        {plain + "app: nowhere\n", "2:6 error no-program\n"},
        {plain + "app: ./prog\n", ""},
        {plain + "app: /nowhere/prog\n", "2:6 error no-program\n"},
        {plain + "app: { command: prog, environment: { PATH: /nowhere } }\n", "2:17 error no-program\n"},
        {plain + "app: { command: prog, working_dir: nowhere }\n", "2:36 error no-directory\n"},
        {plain + app + "server: { user: root }\n", ""},
        {plain + app + "server: { user: nobody-at-all }\n", "3:17 error no-user\n"},
        {plain + app + "server: { group: nobody-at-all }\n", "3:18 error no-group\n"},
        {plain + "app: { command: prog, user: nobody-at-all }\n", "2:29 error no-user\n"},
        {plain + "app: { command: prog, user: \"12345\" }\n", ""},
        {plain + "app: { command: prog, resources: { open_files: 1024, cpus: 0-1 } }\n", ""},
        {plain + "app: { command: prog, resources: { open_files: 1025 } }\n", "2:48 error no-permission\n"},
        {plain + "app: { command: prog, resources: { cpus: 1-2 } }\n", "2:42 error no-cpu\n"},
        {plain + app + "logging: { output: /nowhere/x.log }\n", "3:20 error no-directory\n"},
        {listen + "tls: { cert: one.pem, key: one.key }\n" + app, ""},
        {listen + "tls: { cert: no.pem, key: no.key }\n" + app, "2:14 error no-file\n2:27 error no-file\n"},
        {listen + "tls: { cert: one.pem, key: two.key }\n" + app, "2:14 error bad-certificate\n"},
        {listen + "tls: { cert: one.key, key: one.key }\n" + app, "2:14 error bad-certificate\n"},
        {listen + "tls: { cert: one.pem, key: open.key }\n" + app, "2:28 warning key-mode\n"},
        {listen + "tls: { cert: ., key: one.key }\n" + app, "2:14 error no-file\n"},
    }));
    const auto loaded = load_and_check(folder.write("stack.yaml", text), true, folder.machine());
    INFO(text << describe_problems(loaded));
    CHECK(places(loaded) == expected);
    CHECK((loaded.config == nullptr) == (expected.find("error") != std::string::npos));
}

TEST_CASE("a stop that may take longer than the platform waits is a warning", "[cli][check]") {
    Folder folder;
    const std::string stack = "listen: \":81\"\napp: prog\nserver: { shutdown: { delay: 5s, grace_period: 25s } }\n";
    const auto [grace, expected] =
        GENERATE(table<std::string, std::string>({{"", ""},
                                                  {"30s", ""},
                                                  {"29s", "3:11 warning termination-grace\n"},
                                                  {"30", "3:11 warning termination-grace\n"}}));
    Machine machine = folder.machine();
    machine.termination_grace = grace;
    CHECK(places(load_and_check(folder.write("stack.yaml", stack), true, machine)) == expected);
}

TEST_CASE("a program that is missing is told from one that may not be run", "[cli][check]") {
    Folder folder;
    folder.write("main.py", "print(1)\n", 0644);
    std::filesystem::create_directory(folder.path() + "/folder");
    const std::string plain = folder.path() + "/plain", script = folder.path() + "/main.py";
    const std::vector<std::tuple<std::string, std::string, std::string>> rows{
        {"./nowhere", "there is no \"" + folder.path() + "/nowhere\"", ""},
        {"./folder", "\"" + folder.path() + "/folder\" is a directory", ""},
        {"./plain", "\"" + plain + "\" is there, but may not be run", "chmod +x " + plain},
        {"./main.py", "\"" + script + "\" is there, but may not be run",
         "chmod +x " + script + ", or write python " + script},
    };
    for (const auto& [program, text, hint] : rows) {
        INFO(program);
        const auto stack = folder.write("stack.yaml", "listen: \":81\"\napp: " + program + "\n");
        const auto loaded = load_and_check(stack, true, folder.machine());
        REQUIRE(loaded.problems.size() == 1);
        CHECK(loaded.problems[0].rule == "no-program");
        CHECK(loaded.problems[0].text == text);
        CHECK(loaded.problems[0].hint == hint);
    }
}

TEST_CASE("only root may start workers as somebody else", "[cli][check]") {
    Folder folder;
    const auto file = folder.write("stack.yaml", "listen: \":81\"\napp: { command: prog, user: \"12345\" }\n");
    CHECK(load_and_check(file, true, folder.machine(0)).config);
    CHECK(load_and_check(file, true, folder.machine(12345)).config);
    CHECK(places(load_and_check(file, true, folder.machine(1000))) == "2:29 error no-permission\n");
}

TEST_CASE("a certificate that is about to expire is a warning, days before and after", "[cli][check]") {
    Folder folder;
    const auto file =
        folder.write("stack.yaml", "listen: \":8443\"\ntls: { cert: one.pem, key: one.key }\napp: prog\n");
    const auto after = [&](int days) {
        Machine machine = folder.machine();
        machine.now += days * a_day;
        return places(load_and_check(file, true, machine));
    };
    CHECK(after(0) == "");
    CHECK(after(10) == "");
    CHECK(after(25) == "2:14 warning cert-expiry\n");
    CHECK(after(40) == "2:14 warning cert-expiry\n");
    CHECK(after(-10) == "2:14 warning cert-expiry\n");
}

TEST_CASE("without files, only the file itself counts", "[cli][check]") {
    Folder folder;
    const auto file = folder.write(
        "stack.yaml",
        "listen: \":8443\"\ntls: { cert: no.pem, key: no.key }\napp: { command: nowhere, env_file: no.env }\n");
    CHECK(load_and_check(file, false, folder.machine()).config);
    CHECK_FALSE(load_and_check(file, true, folder.machine()).config);
}

TEST_CASE("check speaks to people, editors and programs, and says how it went", "[cli][check]") {
    Folder folder;
    const auto good = folder.write("good.yaml", "listen: \":81\"\napp: prog\n");
    const auto bad = folder.write("bad.yaml", "listen: \":81\"\napp: { comand: \"p\\\"\" }\nserver: { threads: 0 }\n");
    const auto warned = folder.write("warned.yaml", "listen: \":81\"\napp: prog\nroutes: [{ pool: app }]\n");
    std::stringstream out;

    CHECK(run_check(asked(CheckFormat::human), good, out, folder.machine()) == ExitCode::done);
    CHECK(out.str() == good + ": valid\n");

    out.str("");
    CHECK(run_check(asked(CheckFormat::human), bad, out, folder.machine()) == ExitCode::bad_config);
    CHECK(out.str() == bad +
                           ":2:8: error: unknown key \"comand\" in app [unknown-key]\n"
                           "    2 | app: { comand: \"p\\\"\" }\n"
                           "      |        ^~~~~~ did you mean \"command\"?\n" +
                           bad +
                           ":3:20: error: \"0\" is too small for \"threads\" [out-of-range]\n"
                           "    3 | server: { threads: 0 }\n"
                           "      |                    ^ at least 1, or auto\n"
                           "2 errors\n");

    out.str("");
    CHECK(run_check(asked(CheckFormat::headlines), bad, out, folder.machine()) == ExitCode::bad_config);
    CHECK(out.str() == bad + ":2:8: error: unknown key \"comand\" in app [unknown-key]\n" + bad +
                           ":3:20: error: \"0\" is too small for \"threads\" [out-of-range]\n");

    out.str("");
    CHECK(run_check(asked(CheckFormat::json), bad, out, folder.machine()) == ExitCode::bad_config);
    CHECK(out.str() == "{\"file\":\"" + bad + "\",\"valid\":false,\"problems\":[\n{\"file\":\"" + bad +
                           "\",\"line\":2,\"column\":8,\"length\":6,\"severity\":\"error\",\"rule\":\"unknown-key\","
                           "\"message\":\"unknown key "
                           "\\\"comand\\\" in app\",\"hint\":\"did you mean \\\"command\\\"?\"},\n{\"file\":\"" +
                           bad +
                           "\",\"line\":3,\"column\":20,\"length\":1,\"severity\":\"error\",\"rule\":\"out-of-range\","
                           "\"message\":\"\\\"0\\\" is too small "
                           "for \\\"threads\\\"\",\"hint\":\"at least 1, or auto\"}]}\n");

    out.str("");
    CommandLine strict = asked(CheckFormat::human);
    CHECK(run_check(strict, warned, out, folder.machine()) == ExitCode::done);
    CHECK(out.str().find("shadowed-route") != std::string::npos);
    CHECK(out.str().find("1 warning\n") != std::string::npos);
    strict.strict = true;
    CHECK(run_check(strict, warned, out, folder.machine()) == ExitCode::bad_config);
}

TEST_CASE("gunicorn's own file is looked at, and a note fails nobody", "[cli][check]") {
    Folder folder;
    folder.write("gunicorn", "#!/bin/sh\n", 0755);
    const auto file = folder.write("stack.yaml", "listen: \":81\"\napp: gunicorn main:app\n");
    std::stringstream out;
    CommandLine strict = asked(CheckFormat::human);
    strict.strict = true;
    CHECK(run_check(strict, file, out, folder.machine()) == ExitCode::done);
    CHECK(out.str().find(":2:6: note: gunicorn reads no X-Forwarded-For") != std::string::npos);
    CHECK(out.str().find("1 note\n" + file + ": valid\n") != std::string::npos);
    config::Log log;
    log_warnings(load_and_check(file, true, folder.machine()), log);
    CHECK(log.drain([](config::LogRecord&&) {}) == 0);

    folder.write("gunicorn.conf.py", "workers = 4\n");
    CHECK(places(load_and_check(file, true, folder.machine())) ==
          "2:6 warning unseen-config\n2:6 note forwarded-ignored\n");
    CHECK(run_check(strict, file, out, folder.machine()) == ExitCode::bad_config);
}

TEST_CASE("warnings of a start are records of the log", "[cli][check]") {
    Folder folder;
    const auto file = folder.write("stack.yaml", "listen: \":81\"\napp: prog && x\n");
    config::Log log;
    log_warnings(load_and_check(file, true, folder.machine()), log);
    std::vector<config::LogRecord> records;
    log.drain([&](config::LogRecord&& record) { records.push_back(std::move(record)); });
    REQUIRE(records.size() == 1);
    CHECK(records[0].level == config::LogLevel::warn);
    CHECK(records[0].event == "config_warning");
    CHECK(records[0].text == "\"&&\" is handed to the program: no shell is run (write sh -c '...' if you need one)");
    CHECK(records[0].fields ==
          std::vector<config::LogField>{{"rule", "shell-syntax"}, {"file", file}, {"line", 2}, {"column", 11}});
}

TEST_CASE("explain shows every setting but no secret", "[cli][check]") {
    Folder folder;
    const auto file =
        folder.write("stack.yaml", "listen: \":81\"\napp: { command: prog, environment: { KEY: hunter2 } }\n");
    std::stringstream out, err;
    CHECK(run_explain(file, out, err) == ExitCode::done);
    CHECK(out.str().find("grace_period: 30s") != std::string::npos);
    CHECK(out.str().find("KEY: \"***\"") != std::string::npos);
    CHECK(out.str().find("hunter2") == std::string::npos);
    CHECK(err.str().empty());

    CHECK(run_explain(folder.write("stack.yaml", "nonsense: 1\n"), out, err) == ExitCode::bad_config);
    CHECK(err.str().find("unknown-key") != std::string::npos);
}
