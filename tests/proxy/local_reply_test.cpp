// SPDX-License-Identifier: Apache-2.0
#include "proxy/local_reply.hpp"

#include <catch2/catch.hpp>

#include "proxy/respond/error_pages.hpp"
#include "proxy/respond/grpc.hpp"

using namespace edgeproxy;
using config::PageFormat;

TEST_CASE("every reason has a status, a word and a sentence", "[proxy][local_reply]") {
    for (std::size_t i = 1; i < upstream::errc_count; ++i) {
        const proxy::Reason& row = proxy::reason(static_cast<upstream::errc>(i));
        CAPTURE(i);
        CHECK((row.status >= 500 && row.status <= 504));
        CHECK_FALSE(row.word.empty());
        CHECK_FALSE(row.sentence.empty());
        CHECK((!row.retry_after || row.status == 503));
    }
    for (int i = 1; i < static_cast<int>(http::errc::count_); ++i)
        CHECK(proxy::reason(static_cast<http::errc>(i)).status >= 400);
    CHECK(proxy::reason(proxy::Refusal::internal).status == 500);
}

TEST_CASE("gRPC is told apart, and has a status for everything", "[proxy][local_reply]") {
    const auto [type, expected] = GENERATE(table<std::string, bool>({
        {"application/grpc", true},
        {"Application/gRPC", true},
        {"application/grpc+proto", true},
        {"application/grpc; charset=x", true},
        {"application/grpc-web", false},
        {"application/grpc-web+proto", false},
        {"application/json", false},
        {"", false},
    }));
    CAPTURE(type);
    CHECK(respond::is_grpc(type) == expected);
    const auto [status, code] = GENERATE(table<unsigned, std::string>({{400, "13"},
                                                                       {403, "7"},
                                                                       {404, "12"},
                                                                       {408, "4"},
                                                                       {413, "8"},
                                                                       {502, "14"},
                                                                       {503, "14"},
                                                                       {504, "4"},
                                                                       {418, "2"}}));
    CHECK(respond::grpc_status(status) == code);
}

TEST_CASE("the page comes in the format that the client asks for", "[proxy][local_reply]") {
    const auto [accept, expected] = GENERATE(table<std::string, PageFormat>({
        {"text/html,application/xhtml+xml,*/*;q=0.8", PageFormat::html},
        {"application/json", PageFormat::json},
        {"application/problem+json", PageFormat::json},
        {"application/json, text/html", PageFormat::json},
        {"application/json;q=0.1, text/html", PageFormat::html},
        {"text/html ; q=0.25, application/json ; q=0.5", PageFormat::json},
        {"text/html;q=0.009, application/json;q=0.01", PageFormat::json},
        {"text/html;level=1;q=0.5, application/json;q=0.5", PageFormat::html},
        {"text/html;q=0, application/json;q=0.0", PageFormat::text},
        {"text/html;q=1.0, application/json;q=x", PageFormat::html},
        {"*/*", PageFormat::text},
        {"", PageFormat::text},
    }));
    CAPTURE(accept);
    CHECK(respond::choose_format(PageFormat::automatic, accept) == expected);
    CHECK(respond::choose_format(PageFormat::text, accept) == PageFormat::text);
}

TEST_CASE("nothing that a worker printed can become markup", "[proxy][local_reply]") {
    respond::ErrorPage page;
    page.status = 503;
    page.title = "Service Unavailable";
    page.sentence = "The application does not start.";
    page.error = "destination_unavailable";
    page.details = {"<script>alert(\"1\")</script>\x1b[31m\xff"};
    const std::string html = respond::render(page, PageFormat::html).body;
    CHECK(html.find("<script>") == std::string::npos);
    CHECK(html.find('\x1b') == std::string::npos);
    const std::string json = respond::render(page, PageFormat::json).body;
    CHECK(json.find("\\u001B[31m\\\\xFF") != std::string::npos);
    CHECK(json.find("\\\"1\\\"") != std::string::npos);
}
