// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/machine.hpp"

#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>

#include "config/command.hpp"
#include "config/key_pairs.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "proxy/cli/gunicorn_file.hpp"
#include "tls/certificates.hpp"
#include "tls/client_auth.hpp"
#include "tls/client_context.hpp"
#include "tls/context.hpp"
#include "tls/tickets.hpp"

namespace edgeproxy::cli {

namespace {

using config::in_quotes;
using config::Place;

std::optional<unsigned> as_number(const std::string& text) {
    unsigned value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

/// The user's number: a name of the system, or the number itself.
std::optional<unsigned> uid_of(const std::string& user) {
    if (const auto number = as_number(user)) return number;
    const passwd* entry = ::getpwnam(user.c_str());
    if (entry == nullptr) return std::nullopt;
    return entry->pw_uid;
}

bool is_directory(const std::string& path) {
    std::error_code ignored;
    return std::filesystem::is_directory(path, ignored);
}

bool is_program(const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
}

bool on_path(const std::string& program, const std::string& search_path, const std::string& working_dir) {
    for (std::size_t at = 0; at <= search_path.size();) {
        const auto end = std::min(search_path.find(':', at), search_path.size());
        std::string directory = search_path.substr(at, end - at);
        if (!directory.starts_with('/')) directory = working_dir + "/" + directory;
        if (is_program(directory + "/" + program)) return true;
        at = end + 1;
    }
    return false;
}

class MachineCheck {
 public:
    MachineCheck(const config::Config& config, const std::string& file,
                 const std::map<std::string, Place, std::less<>>& places, const Machine& machine)
        : config_(config), places_(places), machine_(machine), problems_(file) {}

    std::vector<config::Problem> run() {
        certificates(config_.tls, "tls");
        for (const config::Listener& listener : config_.listeners) {
            if (listener.own_tls) certificates(*listener.own_tls, "listeners." + listener.name + ".tls");
        }
        account("server", config_.server.user, config_.server.group);
        for (const config::Pool& pool : config_.pools) {
            if (pool.managed) worker(pool);
            endpoint_tls(pool);
        }
        termination_grace();
        output("logging.output", config_.logging.output);
        if (config_.logging.access.enabled) output("logging.access.output", config_.logging.access.output);
        return problems_.take();
    }

 private:
    /// The nearest written place around a path.
    Place at(std::string_view path) const {
        for (;;) {
            if (const auto found = places_.find(path); found != places_.end()) return found->second;
            const auto cut = path.find_last_of(".[");
            if (cut == std::string_view::npos) return {};
            path = path.substr(0, cut);
        }
    }

    std::optional<std::string> pem(const std::string& path, Place place) {
        std::error_code ignored;
        std::ifstream file(path, std::ios::binary);
        if (!file || std::filesystem::is_directory(path, ignored)) {
            const char* why = file ? "it is a directory" : std::strerror(errno);
            problems_.error(place, "no-file", "cannot read " + in_quotes(path) + ": " + why);
            return std::nullopt;
        }
        std::string text(config::largest_pem + 1, '\0');
        file.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(file.gcount()));
        if (text.size() <= config::largest_pem) return text;
        problems_.error(place, "no-file", in_quotes(path) + " is too large for a certificate or key");
        return std::nullopt;
    }

    /// One certificate that listeners shall serve, and where it is written.
    struct Wanted {
        const config::Tls& tls;
        std::size_t index;
        std::string tls_path, path;
        const config::Certificate& files;
        std::string client_path() const {
            return files.client_auth ? path + ".client_auth" : tls_path + ".client_auth";
        }
    };

    void certificates(const config::Tls& tls, const std::string& path) {
        for (std::size_t i = 0; i < tls.certificates.size(); ++i)
            certificate({tls, i, path, path + ".certificates[" + std::to_string(i) + "]", tls.certificates[i]});
        if (tls.dir.empty()) return;
        const Place place = at(path + ".dir");
        const config::KeyPairs found = config::find_key_pairs(tls.dir);
        if (!found.error.empty()) return problems_.error(place, "no-directory", found.error);
        if (found.pairs.empty() && tls.certificates.empty())
            problems_.error(place, "no-file", "there is no certificate with its key in " + in_quotes(tls.dir),
                            "a pair is NAME.crt and NAME.key, or one .pem with both");
        for (const std::string& name : found.unpaired)
            problems_.warn(place, "unpaired", in_quotes(name) + " in " + in_quotes(tls.dir) + " has no other half");
        for (const config::KeyFiles& pair : found.pairs) {
            const config::Certificate files{pair.chain, pair.key, {}, {}, {}};
            certificate({tls, tls.certificates.size(), path, path + ".dir", files});
        }
    }

    void certificate(const Wanted& wanted) {
        const Place cert_place = at(wanted.path + ".cert"), key_place = at(wanted.path + ".key");
        const auto chain = pem(wanted.files.cert, cert_place), key = pem(wanted.files.key, key_place);
        if (!chain || !key) return;
        tls::Pem files{*chain, *key};
        if (!extras(wanted, files)) return;
        config::Tls alone = wanted.tls;
        alone.client_auth = tls::client_auth_of(wanted.tls, wanted.index);
        alone.certificates = {wanted.files};
        const auto loaded = tls::Identities::load(alone, {&files, 1}, tickets_);
        tls::cleanse(files);
        if (loaded.has_error()) return refused(wanted, loaded.error());
        key_mode(wanted.files.key, key_place);
        if (!wanted.files.key_password_file.empty())
            key_mode(wanted.files.key_password_file, at(wanted.path + ".key_password_file"));
        describe((*loaded)->infos().front(), cert_place);
    }

    /// What goes with a certificate. False, and told, when a file that is needed is missing.
    bool extras(const Wanted& wanted, tls::Pem& files) {
        const config::ClientAuth& client = tls::client_auth_of(wanted.tls, wanted.index);
        const std::string from = wanted.client_path(), &ocsp = wanted.files.ocsp;
        std::error_code ignored;
        if (!ocsp.empty() && std::filesystem::exists(ocsp, ignored)) {
            files.ocsp = pem(ocsp, at(wanted.path + ".ocsp")).value_or("");
        } else if (!ocsp.empty()) {
            problems_.warn(at(wanted.path + ".ocsp"), "no-file",
                           "there is no " + in_quotes(ocsp) + ": nothing is stapled");
        }
        if (!wanted.files.key_password_file.empty()) {
            const auto password = pem(wanted.files.key_password_file, at(wanted.path + ".key_password_file"));
            if (!password) return false;
            files.password = *password;
        }
        if (client.mode == config::ClientAuthMode::none) return true;
        const auto ca = pem(client.ca, at(from + ".ca"));
        const auto crl = client.crl.empty() ? std::optional<std::string>("") : pem(client.crl, at(from + ".crl"));
        files.client_ca = ca.value_or("");
        files.client_crl = crl.value_or("");
        return ca && crl;
    }

    void refused(const Wanted& wanted, const tls::CertificateError& error) {
        using Where = tls::CertificateError::Where;
        const std::string& path = wanted.path;
        const char* const setting = error.message.find("group") == std::string::npos ? ".ciphers" : ".groups";
        switch (error.where) {
            case Where::key:
                return problems_.error(at(path + ".key"), "bad-certificate", wanted.files.key + ": " + error.message);
            case Where::password:  // the message names the file
                return problems_.error(at(path + ".key_password_file"), "bad-certificate", error.message);
            case Where::settings:
                return problems_.error(at(wanted.tls_path + setting), "bad-value", error.message);
            case Where::client_ca:
                return problems_.error(at(wanted.client_path() + ".ca"), "bad-certificate", error.message);
            case Where::client_crl:
                return problems_.error(at(wanted.client_path() + ".crl"), "bad-certificate", error.message);
            default:
                return problems_.error(at(path + ".cert"), "bad-certificate", wanted.files.cert + ": " + error.message);
        }
    }

    void endpoint_tls(const config::Pool& pool) {
        const std::string path = "pools." + pool.name;
        endpoint_tls(pool.tls, path + ".tls");
        for (std::size_t i = 0; i < pool.endpoints.size(); ++i) {
            if (pool.endpoints[i].tls)
                endpoint_tls(*pool.endpoints[i].tls, path + ".endpoints[" + std::to_string(i) + "].tls");
        }
    }

    void endpoint_tls(const config::PoolTls& wanted, const std::string& path) {
        tls::ClientSettings settings;
        if (!wanted.ca.empty()) {
            const auto roots = pem(wanted.ca, at(path + ".ca"));
            if (!roots) return;
            settings.roots = *roots;
        }
        if (!wanted.cert.empty()) {
            const auto chain = pem(wanted.cert, at(path + ".cert")), key = pem(wanted.key, at(path + ".key"));
            if (!chain || !key) return;
            settings.own = {*chain, *key};
            key_mode(wanted.key, at(path + ".key"));
        }
        if (wanted == config::PoolTls{}) return;
        const auto loaded = tls::ClientContext::load(settings);
        if (!loaded) problems_.error(at(path), "bad-certificate", loaded.error().message);
    }

    void key_mode(const std::string& path, Place place) {
        struct stat status {};
        if (::stat(path.c_str(), &status) != 0 || (status.st_mode & S_IROTH) == 0) return;
        problems_.warn(place, "key-mode", "every user of this machine can read the key " + in_quotes(path),
                       "chmod o= " + path);
    }

    void describe(const tls::CertificateInfo& info, Place place) {
        for (const auto& warning : info.warnings)
            problems_.warn(place, "certificate", "certificate " + info.subject + ": " + warning);
        const long days = info.days_left(machine_.now);
        // Two weeks, but a certificate of a week is not always about to expire.
        const auto life = std::chrono::duration_cast<std::chrono::hours>(info.not_after - info.not_before).count() / 24;
        constexpr long soon = 14;
        if (info.not_after <= machine_.now) {
            problems_.warn(place, "cert-expiry", "certificate " + info.subject + " has expired");
        } else if (info.not_before > machine_.now) {
            problems_.warn(place, "cert-expiry", "certificate " + info.subject + " is not valid yet",
                           "is the clock of this machine right?");
        } else if (days <= std::min<long>(soon, life / 3)) {
            problems_.warn(place, "cert-expiry",
                           "certificate " + info.subject + " expires in " +
                               config::counted(static_cast<std::size_t>(days), "day"));
        }
    }

    void account(const std::string& path, const std::string& user, const std::string& group) {
        if (!group.empty() && !as_number(group) && ::getgrnam(group.c_str()) == nullptr) {
            problems_.error(at(path + ".group"), "no-group", "there is no group " + in_quotes(group));
        }
        if (user.empty()) return;
        const auto uid = uid_of(user);
        if (!uid) {
            problems_.error(at(path + ".user"), "no-user", "there is no user " + in_quotes(user));
        } else if (machine_.uid != 0 && machine_.uid != *uid) {
            problems_.error(at(path + ".user"), "no-permission", "only root can become " + in_quotes(user),
                            "start edgeproxy as root, or take user out");
        }
    }

    void worker(const config::Pool& pool) {
        const std::string path = "pools." + pool.name;
        const config::Command& command = pool.command;
        // The server's own account has been looked at.
        if (command.user != config_.server.user || command.group != config_.server.group)
            account(path, command.user, command.group);
        resources(path + ".resources", command.resources);
        if (!is_directory(command.working_dir)) {
            problems_.error(at(path + ".working_dir"), "no-directory",
                            "there is no directory " + in_quotes(command.working_dir));
            return;
        }
        program(command, at(path + ".command"));
        if (command.kind == config::Kind::gunicorn) gunicorn(command, path);
    }

    void gunicorn(const config::Command& command, const std::string& path) {
        constexpr std::size_t most = 256 * 1024;
        const auto facts = config::look_at(command.argv, command.environment, command.kind);
        GunicornFile file{facts.config_file.value_or("gunicorn.conf.py"), std::string(most, '\0'),
                          facts.config_file.has_value()};
        std::ifstream stream(std::filesystem::path(command.working_dir) / file.name, std::ios::binary);
        stream.read(file.text.data(), most);
        file.text.resize(static_cast<std::size_t>(stream.gcount()));
        const bool capacity = places_.contains(path + ".max_in_flight");
        for (const auto& found : check_gunicorn(facts, stream.is_open() ? &file : nullptr, capacity)) {
            const Place place = at(path + ".command");
            if (found.severity == config::Severity::note) {
                problems_.note(place, found.rule, found.text, found.hint);
            } else {
                problems_.warn(place, found.rule, found.text, found.hint);
            }
        }
    }

    void resources(const std::string& path, const config::WorkerResources& wanted) {
        if (machine_.open_files != 0 && wanted.open_files > machine_.open_files) {
            problems_.error(at(path + ".open_files"), "no-permission",
                            "a worker may open at most " + std::to_string(machine_.open_files) + " files here",
                            "raise the limit of edgeproxy itself first (LimitNOFILE of its unit, ulimit -Hn)");
        }
        for (const unsigned cpu : wanted.cpus) {
            const auto& ours = machine_.cpus;
            if (ours.empty() || std::find(ours.begin(), ours.end(), cpu) != ours.end()) continue;
            problems_.error(at(path + ".cpus"), "no-cpu",
                            "there is no CPU " + std::to_string(cpu) + " that we may use");
            return;
        }
    }

    void no_program(const std::string& whole, Place place) {
        const std::string path = std::filesystem::path(whole).lexically_normal().string();
        std::error_code ignored;
        if (!std::filesystem::exists(path, ignored))
            return problems_.error(place, "no-program", "there is no " + in_quotes(path));
        if (is_directory(path)) return problems_.error(place, "no-program", in_quotes(path) + " is a directory");
        const bool script = path.ends_with(".py");
        problems_.error(place, "no-program", in_quotes(path) + " is there, but may not be run",
                        "chmod +x " + path + (script ? ", or write python " + path : ""));
    }

    void program(const config::Command& command, Place place) {
        const std::string& name = command.argv.front();
        if (name.find('{') != std::string::npos) return;
        if (name.find('/') != std::string::npos) {
            const std::string whole = name.starts_with('/') ? name : command.working_dir + "/" + name;
            if (!is_program(whole)) no_program(whole, place);
            return;
        }
        const auto own = command.environment.find("PATH");
        const std::string& search = own != command.environment.end() ? own->second : machine_.search_path;
        if (on_path(name, search, command.working_dir)) return;
        problems_.error(place, "no-program", "there is no program " + in_quotes(name) + " in PATH",
                        "write its whole path, for example of a virtual environment");
    }

    /// A platform that kills us in the middle of our stop cuts what we would have finished.
    void termination_grace() {
        if (machine_.termination_grace.empty()) return;
        const auto limit = config::parse_duration(machine_.termination_grace);
        const config::Shutdown& ours = config_.server.shutdown;
        if (!limit.value) {
            problems_.warn(
                at("server.shutdown"), "termination-grace",
                "EDGEPROXY_TERMINATION_GRACE is " + in_quotes(machine_.termination_grace) + ": " + limit.complaint);
        } else if (ours.delay + ours.grace_period > *limit.value) {
            problems_.warn(at("server.shutdown"), "termination-grace",
                           "a stop may take " + config::format_duration(ours.delay + ours.grace_period) +
                               ", but we are killed after " + config::format_duration(*limit.value),
                           "shorten delay or grace_period, or raise terminationGracePeriodSeconds");
        }
    }

    void output(const std::string& path, const std::string& target) {
        if (!target.starts_with('/')) return;
        const auto directory = std::filesystem::path(target).parent_path().string();
        if (!is_directory(directory))
            problems_.error(at(path), "no-directory", "there is no directory " + in_quotes(directory));
    }

    const config::Config& config_;
    const std::map<std::string, Place, std::less<>>& places_;
    const Machine& machine_;
    config::Problems problems_;
    tls::TicketKeys tickets_{io::Clock::real().now()};
};

}  // namespace

Machine Machine::here() {
    Machine machine;
    machine.uid = ::geteuid();
    const char* path = std::getenv("PATH");
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_max != RLIM_INFINITY) machine.open_files = files.rlim_max;
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    if (::sched_getaffinity(0, sizeof(cpus), &cpus) == 0) {
        for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
            if (CPU_ISSET(cpu, &cpus)) machine.cpus.push_back(cpu);
        }
    }
    if (const char* grace = std::getenv("EDGEPROXY_TERMINATION_GRACE")) machine.termination_grace = grace;
    machine.search_path = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
    return machine;
}

std::vector<config::Problem> check_machine(const config::Config& config, const std::string& file,
                                           const std::map<std::string, Place, std::less<>>& places,
                                           const Machine& machine) {
    return MachineCheck(config, file, places, machine).run();
}

}  // namespace edgeproxy::cli
