// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <catch2/catch.hpp>
#include <memory>
#include <string>

#include "proxy/http/http1_reader.hpp"

namespace edgeproxy::proxy::test {

/// A request head read from raw text; its views point into itself.
struct ParsedRequest {
    explicit ParsedRequest(std::string head) : text(std::move(head)) {
        http::RequestReader reader;
        const auto read = reader.read(text, *request);
        INFO(text);
        REQUIRE(read.status == http::ReadResult::Status::complete);
    }
    std::string text;
    std::unique_ptr<http::Request> request = std::make_unique<http::Request>();
    operator const http::Request&() const { return *request; }
};

/// The same for an answer to GET.
struct ParsedResponse {
    explicit ParsedResponse(std::string head, http::Method method = http::Method::get) : text(std::move(head)) {
        http::ResponseReader reader;
        const auto read = reader.read(text, method, *response);
        INFO(text);
        REQUIRE(read.status == http::ReadResult::Status::complete);
    }
    std::string text;
    std::unique_ptr<http::Response> response = std::make_unique<http::Response>();
    operator const http::Response&() const { return *response; }
};

inline std::string get(const std::string& target, const std::string& host = "a.example",
                       const std::string& fields = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n";
}

}  // namespace edgeproxy::proxy::test
