// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace edgeproxy::cli {

/// What can be asked about a folder with a Python application, without running anything in it.
struct Project {
    /// The text of a file by its path below the folder; empty when there is none (or it is too large to be source).
    std::function<std::optional<std::string>(const std::string& path)> read;
    /// How a program is called here: its path in the folder's virtual environment, or its name where PATH has it.
    std::function<std::optional<std::string>(std::string_view name)> program;

    static Project at(const std::string& folder);
};

/// What an application speaks, as far as its source tells.
enum class AppInterface { unknown, asgi, wsgi };
/// `attribute` is the application's name in the module.
AppInterface interface_of(std::string_view source, std::string_view attribute);

/// The command that serves an application, and one sentence on why it is that one. Or a complaint with a hint.
struct AppChoice {
    std::vector<std::string> command;  ///< empty = see `complaint`
    std::string reason;                ///< "main:app (ASGI, main.py) with uvicorn"
    std::string complaint, hint;
};

/// `target` is `module:attribute`; empty: main:app, app:app, app.main:app, manage.py are looked for, in this order.
/// ASGI goes to uvicorn (else hypercorn, daphne), WSGI to gunicorn, whichever is installed.
AppChoice choose_app(const Project& project, const std::string& target);

}  // namespace edgeproxy::cli
