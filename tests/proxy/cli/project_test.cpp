// SPDX-License-Identifier: Apache-2.0
#include "proxy/cli/project.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <set>

using namespace edgeproxy::cli;

namespace {

using Files = std::map<std::string, std::string>;
using Words = std::vector<std::string>;

Project project(Files files, std::set<std::string> programs) {
    Project out;
    out.read = [files](const std::string& path) -> std::optional<std::string> {
        const auto found = files.find(path);
        return found == files.end() ? std::nullopt : std::optional(found->second);
    };
    out.program = [programs](std::string_view name) -> std::optional<std::string> {
        return programs.count(std::string(name)) > 0 ? std::optional("bin/" + std::string(name)) : std::nullopt;
    };
    return out;
}

const std::string fastapi = "from fastapi import FastAPI\napp = FastAPI()\n";
const std::string flask = "from flask import Flask\napp = Flask(__name__)\n";
const std::string manage = "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const std::set<std::string> all{"uvicorn", "gunicorn", "daphne", "hypercorn"};

}  // namespace

TEST_CASE("the source tells what an application speaks", "[cli][dev]") {
    const auto [source, interface] = GENERATE(table<std::string, AppInterface>({
        {fastapi, AppInterface::asgi},
        {"app = Starlette(routes=[])", AppInterface::asgi},
        {"application = get_asgi_application()", AppInterface::asgi},
        {"async def app(scope, receive, send):\n    pass", AppInterface::asgi},
        {flask, AppInterface::wsgi},
        {"application = get_wsgi_application()", AppInterface::wsgi},
        {"def app(environ, start_response):\n    pass", AppInterface::wsgi},
        {"from factory import app", AppInterface::unknown},
        {"", AppInterface::unknown},
    }));
    INFO(source);
    CHECK(interface_of(source, "app") == interface);
}

TEST_CASE("an application gets the server that fits it and is installed", "[cli][dev]") {
    const auto [files, programs, target, command] = GENERATE(table<Files, std::set<std::string>, std::string, Words>({
        {{{"main.py", fastapi}}, all, "main:app", {"bin/uvicorn", "main:app"}},
        {{{"main.py", fastapi}},
         {"gunicorn", "hypercorn"},
         "main:app",
         {"bin/hypercorn", "-b", "fd://{fd}", "main:app"}},
        {{{"main.py", fastapi}},
         {"daphne"},
         "main:app",
         {"bin/daphne", "-u", "{socket}", "--proxy-headers", "main:app"}},
        {{{"web/app.py", flask}}, all, "web.app:app", {"bin/gunicorn", "web.app:app"}},
        {{{"web/__init__.py", flask}}, all, "web:app", {"bin/gunicorn", "web:app"}},
        {{}, all, "installed.elsewhere:app", {"bin/uvicorn", "installed.elsewhere:app"}},
        {{}, {"gunicorn"}, "installed.elsewhere:app", {"bin/gunicorn", "installed.elsewhere:app"}},
        // nothing named: the usual places
        {{{"main.py", fastapi}, {"app.py", flask}}, all, "", {"bin/uvicorn", "main:app"}},
        {{{"main.py", "print(1)"}, {"app.py", flask}}, all, "", {"bin/gunicorn", "app:app"}},
        {{{"app/main.py", fastapi}}, all, "", {"bin/uvicorn", "app.main:app"}},
        {{{"manage.py", manage}, {"shop/asgi.py", "application = get_asgi_application()"}},
         all,
         "",
         {"bin/uvicorn", "shop.asgi:application"}},
        {{{"manage.py", manage},
          {"shop/asgi.py", "application = get_asgi_application()"},
          {"shop/wsgi.py", "application = get_wsgi_application()"}},
         {"gunicorn"},
         "",
         {"bin/gunicorn", "shop.wsgi:application"}},
    }));
    const AppChoice choice = choose_app(project(files, programs), target);
    INFO(choice.complaint << choice.reason);
    CHECK(choice.command == command);
    CHECK(choice.complaint.empty());
    CHECK_FALSE(choice.reason.empty());
}

TEST_CASE("what cannot be served is told with what to do", "[cli][dev]") {
    const auto [files, programs, target, hint] =
        GENERATE(table<Files, std::set<std::string>, std::string, std::string>({
            {{{"main.py", fastapi}}, {"gunicorn"}, "main:app", "pip install uvicorn"},
            {{{"main.py", flask}}, {"uvicorn"}, "main:app", "pip install gunicorn"},
            {{}, all, "", "name it: edgeproxy dev module:attribute, or edgeproxy dev -- COMMAND"},
            {{}, all, "main.py", "write module:attribute, for example main:app"},
            {{}, all, "web/main.py", "write module:attribute, for example web.main:app"},
            {{}, all, "main:", "write module:attribute, for example main:app"},
            {{}, all, ":", "write module:attribute, for example main:app"},
            {{}, all, "src/main:app", "write module:attribute, for example src.main:app"},
            {{}, all, "src/main.py:api", "write module:attribute, for example src.main:api"},
            {{}, all, "./app.py", "write module:attribute, for example app:app"},
            {{}, all, ".", "write module:attribute, for example main:app"},
            {{}, all, "src/", "write module:attribute, for example src:app"},
            {{}, all, "a:b:c", "write module:attribute, for example a:app"},
            {{}, all, "../shop/web.py:api", "write module:attribute, for example web:api, in the folder ../shop"},
            {{}, all, "/srv/shop/web.py", "write module:attribute, for example web:app, in the folder /srv/shop"},
            {{{"manage.py", "nothing"}}, all, "", "name the application: package.wsgi:application"},
        }));
    const AppChoice choice = choose_app(project(files, programs), target);
    CHECK(choice.command.empty());
    CHECK_FALSE(choice.complaint.empty());
    CHECK(choice.hint == hint);
}
