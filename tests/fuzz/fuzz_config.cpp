// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>

#include "config/load.hpp"

namespace {

using namespace edgeproxy::config;

/// Opens no file and asks nothing of the machine, so that every run is the same.
LoadOptions fixed_world() {
    LoadOptions options;
    options.base_dir = "/srv";
    options.cpus = 2;
    options.file_limit = 1024;
    options.uid = 0;
    options.read_env_files = false;
    options.environment = [](const std::string& name) -> std::optional<std::string> {
        if (name == "A") return "a: $A \"\\'\n\xc3\xa4";
        if (name == "N") return "7";
        return std::nullopt;
    };
    return options;
}

void must(bool holds, const char* what, const std::string& text) {
    if (holds) return;
    std::fprintf(stderr, "%s\n%s\n", what, text.c_str());
    std::abort();
}

}  // namespace

// Whatever the text: it is a plan that reads back from its canonical form, or there is an error with a place.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    LoadOptions options = fixed_world();
    const LoadResult result = load_text(text, "stack.yaml", options);
    std::string said;
    bool errors = false;
    for (const Problem& problem : result.problems) {
        said += render(problem, result.source);
        errors = errors || problem.severity == Severity::error;
        must(problem.line != 0 && problem.column != 0, "a problem without a place", said);
    }
    must(errors == (result.config == nullptr), "errors and no plan belong together", said);
    if (!result.config) return 0;

    const std::string yaml = to_yaml(*result.config);
    const LoadResult again = load_text(yaml, "dump", options);
    for (const Problem& problem : again.problems) said += render(problem, again.source);
    must(again.config && *again.config == *result.config, "the canonical form is another plan", yaml + said);

    options.internal = true;
    const LoadResult proxy = load_text(to_yaml(*result.config, {.for_proxy = true}), "proxy", options);
    must(proxy.config != nullptr, "the proxy's copy is refused", to_yaml(*result.config, {.for_proxy = true}));
    return 0;
}
