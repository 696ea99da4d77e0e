// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "tls/io/ip.hpp"

namespace edgeproxy::master {

/// Asks until it is so, at most `seconds` long. For what another process does.
bool within(double seconds, const std::function<bool()>& ask);

/// A directory that goes with the object, below /tmp, with a short path.
class Scratch {
 public:
    Scratch();
    ~Scratch();
    std::string path(const std::string& name = {}) const { return name.empty() ? path_ : path_ + "/" + name; }

 private:
    std::string path_;
};

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& text);
/// How often `word` is in the file.
std::size_t count_in(const std::string& path, const std::string& word);
/// True while a process with this pid exists and is no zombie.
bool is_running(int pid);

/// Addresses for bind and connect: of a port of this machine (0: any that is free), and of a unix socket.
io::SocketAddress loopback(std::uint16_t port = 0);
io::SocketAddress unix_address(const std::string& path);

/// Runs it in a child with time to end, and returns its exit code: for what changes a process for good.
int in_child(const std::function<int()>& body, double seconds = 20);

}  // namespace edgeproxy::master
