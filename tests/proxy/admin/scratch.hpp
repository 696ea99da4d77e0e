// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tls/io/fd.hpp"

namespace edgeproxy::admin::test {

/// A file of its own name that is gone at the end.
class ScratchFile {
 public:
    ScratchFile() { io::UniqueFd{::mkstemp(path_.data())}; }
    ScratchFile(const ScratchFile&) = delete;
    ScratchFile& operator=(const ScratchFile&) = delete;
    ~ScratchFile() { ::unlink(path_.c_str()); }

    const std::string& path() const { return path_; }
    io::UniqueFd open() const { return io::UniqueFd{::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC)}; }
    std::string text() const {
        std::ostringstream text;
        text << std::ifstream(path_).rdbuf();
        return text.str();
    }

 private:
    std::string path_ = "/tmp/edgeproxy-admin-test-XXXXXX";
};

struct Pipe {
    Pipe() {
        std::array<int, 2> ends{};
        if (::pipe2(ends.data(), O_CLOEXEC) == 0) {
            out.reset(ends[0]);
            in.reset(ends[1]);
        }
    }
    io::UniqueFd out, in;

    /// What lies in the pipe now.
    std::string take() const {
        ::fcntl(out.get(), F_SETFL, O_NONBLOCK);
        std::string text;
        std::array<char, 4096> piece{};
        for (ssize_t n = 0; (n = ::read(out.get(), piece.data(), piece.size())) > 0;) {
            text.append(piece.data(), static_cast<std::size_t>(n));
        }
        return text;
    }
};

}  // namespace edgeproxy::admin::test
