// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/project.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "config/text.hpp"

namespace edgeproxy::cli {

namespace {

constexpr std::size_t largest_source = 1024 * 1024;

bool holds(std::string_view text, std::string_view what) {
    return text.find(what) != std::string_view::npos;
}

std::string file_of(const Project& project, const std::string& module) {
    std::string path = module;
    std::replace(path.begin(), path.end(), '.', '/');
    for (const char* end : {".py", "/__init__.py"}) {
        if (project.read(path + end)) return path + end;
    }
    return {};
}

bool is_target(const std::string& text) {
    const auto colon = text.find(':');
    return colon != std::string::npos && colon > 0 && colon + 1 < text.size() && !holds(text, "/") &&
           text.find(':', colon + 1) == std::string::npos;
}

/// For a path of a file, with an attribute or without, what would be an application.
std::string how_to_write(const std::string& target) {
    const auto colon = std::min(target.find(':'), target.size());
    std::string attribute = target.substr(std::min(colon + 1, target.size()));
    if (attribute.empty() || attribute.find_first_of(":/") != std::string::npos) attribute = "app";
    auto path = std::filesystem::path(target.substr(0, colon)).lexically_normal();
    if (path.extension() == ".py") path.replace_extension();
    if (!path.has_filename()) path = path.parent_path();  // a folder with its slash
    const bool elsewhere = path.is_absolute() || (!path.empty() && *path.begin() == "..");
    std::string module = elsewhere ? path.filename().string() : path.string();
    std::replace(module.begin(), module.end(), '/', '.');
    if (module.empty() || module.find_first_not_of('.') == std::string::npos) module = "main";
    const std::string there = elsewhere ? ", in the folder " + path.parent_path().string() : "";
    return "write module:attribute, for example " + module + ":" + attribute + there;
}

/// The first server that is installed, with its arguments.
std::optional<std::vector<std::string>> serve_asgi(const Project& project, const std::string& target) {
    if (auto uvicorn = project.program("uvicorn")) return std::vector<std::string>{*uvicorn, target};
    if (auto hypercorn = project.program("hypercorn"))
        return std::vector<std::string>{*hypercorn, "-b", "fd://{fd}", target};
    if (auto daphne = project.program("daphne"))
        return std::vector<std::string>{*daphne, "-u", "{socket}", "--proxy-headers", target};
    return std::nullopt;
}

AppChoice serve(const Project& project, const std::string& target, AppInterface interface, const std::string& file) {
    AppChoice out;
    const bool wsgi = interface == AppInterface::wsgi;
    const char* word = wsgi ? "WSGI" : "ASGI";
    if (wsgi) {
        if (const auto gunicorn = project.program("gunicorn")) out.command = {*gunicorn, target};
    } else if (auto command = serve_asgi(project, target)) {
        out.command = std::move(*command);
    } else if (const auto gunicorn = project.program("gunicorn"); gunicorn && interface == AppInterface::unknown) {
        out.command = {*gunicorn, target};
        word = "perhaps WSGI";
    }
    if (out.command.empty()) {
        const char* server = wsgi ? "gunicorn" : "uvicorn";
        out.complaint = target + " (" + word + ") needs a server, and " + server + " is not installed";
        out.hint = std::string("pip install ") + server;
        return out;
    }
    const std::string server = std::filesystem::path(out.command.front()).filename();
    out.reason = target + " (" + word + ", " + file + ") with " + server;
    return out;
}

AppChoice serve_target(const Project& project, const std::string& target) {
    const std::string module = target.substr(0, target.find(':')), attribute = target.substr(module.size() + 1);
    const std::string file = file_of(project, module);
    // A module that is installed elsewhere is none of our business: its server finds it.
    if (file.empty()) return serve(project, target, AppInterface::unknown, "not in this folder");
    return serve(project, target, interface_of(*project.read(file), attribute), file);
}

/// 'shop.settings' of a manage.py: the package of the project is "shop".
std::string django_package(std::string_view manage) {
    auto at = manage.find("DJANGO_SETTINGS_MODULE");
    if (at == std::string_view::npos) return {};
    at = manage.find(',', at);
    if (at == std::string_view::npos) return {};
    const auto open = manage.find_first_of("'\"", at);
    if (open == std::string_view::npos) return {};
    const auto close = manage.find(manage[open], open + 1);
    if (close == std::string_view::npos) return {};
    const std::string_view module = manage.substr(open + 1, close - open - 1);
    return std::string(module.substr(0, module.rfind('.')));
}

AppChoice serve_django(const Project& project, const std::string& manage) {
    const std::string package = django_package(manage);
    const bool asgi = !package.empty() && !file_of(project, package + ".asgi").empty();
    if (asgi && serve_asgi(project, "")) return serve_target(project, package + ".asgi:application");
    if (!package.empty() && !file_of(project, package + ".wsgi").empty())
        return serve_target(project, package + ".wsgi:application");
    return {{},
            {},
            "manage.py is here, but its project has no asgi.py or wsgi.py",
            "name the application: package.wsgi:application"};
}

}  // namespace

Project Project::at(const std::string& folder) {
    Project out;
    out.read = [folder](const std::string& path) -> std::optional<std::string> {
        const auto whole = std::filesystem::path(folder) / path;
        std::error_code error;
        const auto size = std::filesystem::file_size(whole, error);
        if (error || size > largest_source) return std::nullopt;
        std::ifstream file(whole, std::ios::binary);
        if (!file) return std::nullopt;
        return std::string(std::istreambuf_iterator<char>(file), {});
    };
    out.program = [folder](std::string_view name) -> std::optional<std::string> {
        const auto runs = [](const std::filesystem::path& path) {
            std::error_code error;
            const auto status = std::filesystem::status(path, error);
            return !error && std::filesystem::is_regular_file(status) &&
                   (status.permissions() & std::filesystem::perms::owner_exec) != std::filesystem::perms::none;
        };
        if (std::getenv("VIRTUAL_ENV") == nullptr) {
            for (const char* place : {".venv/bin", "venv/bin"}) {
                const auto path = std::filesystem::path(folder) / place / name;
                if (runs(path)) return path.string();
            }
        }
        const char* search = std::getenv("PATH");
        std::string_view rest = search == nullptr ? "/usr/local/bin:/usr/bin:/bin" : search;
        while (!rest.empty()) {
            const auto colon = std::min(rest.find(':'), rest.size());
            if (colon > 0 && runs(std::filesystem::path(rest.substr(0, colon)) / name)) return std::string(name);
            rest.remove_prefix(std::min(colon + 1, rest.size()));
        }
        return std::nullopt;
    };
    return out;
}

AppInterface interface_of(std::string_view source, std::string_view attribute) {
    const std::string name(attribute);
    static constexpr std::array asgi{"FastAPI(",  "Starlette(",          "get_asgi_application", "Quart(",
                                     "Litestar(", "ProtocolTypeRouter(", "BlackSheep(",          "falcon.asgi"};
    static constexpr std::array wsgi{"Flask(",        "get_wsgi_application", "Bottle(",
                                     "make_wsgi_app", "falcon.App(",          "bottle.default_app"};
    const auto any = [&](const auto& words) {
        return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return holds(source, word); });
    };
    if (holds(source, "async def " + name + "(")) return AppInterface::asgi;
    if (holds(source, "def " + name + "(environ")) return AppInterface::wsgi;
    if (any(asgi)) return AppInterface::asgi;
    return any(wsgi) ? AppInterface::wsgi : AppInterface::unknown;
}

AppChoice choose_app(const Project& project, const std::string& target) {
    if (!target.empty()) {
        if (is_target(target)) return serve_target(project, target);
        return {{}, {}, config::in_quotes(target) + " is no application", how_to_write(target)};
    }
    for (const char* known : {"main:app", "app:app", "app.main:app"}) {
        const std::string name(known);
        const std::string file = file_of(project, name.substr(0, name.find(':')));
        if (!file.empty() && holds(*project.read(file), "app")) return serve_target(project, name);
    }
    if (const auto manage = project.read("manage.py")) return serve_django(project, *manage);
    return {{},
            {},
            "no application found: there is no main.py, app.py, app/main.py or manage.py here",
            "name it: edgeproxy dev module:attribute, or edgeproxy dev -- COMMAND"};
}

}  // namespace edgeproxy::cli
