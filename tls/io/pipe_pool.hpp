// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "tls/io/fd.hpp"

namespace edgeproxy::io {

class PipePool;

/// A kernel pipe on loan from a PipePool; goes back at the end of its life. May be empty: no pipe at all.
///
/// Bytes that a socket splices into it never enter our memory. It knows how many it holds.
class Pipe {
 public:
    Pipe() = default;
    Pipe(Pipe&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)),
          in_(std::move(other.in_)),
          out_(std::move(other.out_)),
          held_(std::exchange(other.held_, 0)) {}
    Pipe& operator=(Pipe&& other) noexcept {
        if (this != &other) {
            release();
            pool_ = std::exchange(other.pool_, nullptr);
            in_ = std::move(other.in_);
            out_ = std::move(other.out_);
            held_ = std::exchange(other.held_, 0);
        }
        return *this;
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;
    ~Pipe() { release(); }

    explicit operator bool() const { return pool_ != nullptr; }
    /// Bytes in it.
    std::size_t held() const { return held_; }
    void release();

    /// The end that takes bytes, and the one that gives them; for `splice`.
    int in() const { return in_.get(); }
    int out() const { return out_.get(); }
    /// So many bytes went in, or came out.
    void filled(std::size_t bytes) { held_ += bytes; }
    void drained(std::size_t bytes) { held_ -= bytes; }

 private:
    friend class PipePool;
    Pipe(PipePool& pool, UniqueFd in, UniqueFd out) : pool_(&pool), in_(std::move(in)), out_(std::move(out)) {}
    PipePool* pool_ = nullptr;
    UniqueFd in_, out_;
    std::size_t held_ = 0;
};

/// The pipes of one reactor. One thread; must outlive its pipes.
///
/// A transfer has one only while bytes are in it, so few serve many; who gets none copies.
class PipePool {
 public:
    static constexpr std::size_t capacity = 256 * 1024;  ///< bytes of a pipe, in pages
    static constexpr unsigned most = 64;                 ///< pipes lent at the same time
    static constexpr unsigned kept = 8;                  ///< free ones kept

    PipePool() = default;
    PipePool(const PipePool&) = delete;
    PipePool& operator=(const PipePool&) = delete;

    /// An empty pipe; none when `most` are lent, the kernel has none, or its descriptors would be beyond `ceiling`.
    Pipe take(int ceiling);
    /// Splicing does not work here: nobody gets a pipe any more.
    void disable() { works_ = false; }
    /// Closes the free ones.
    void trim() { free_.clear(); }
    unsigned lent() const { return lent_; }

 private:
    friend class Pipe;
    struct Ends {
        UniqueFd in, out;
    };
    void give_back(UniqueFd in, UniqueFd out, bool empty);

    std::vector<Ends> free_;
    unsigned lent_ = 0;
    bool works_ = true;
};

inline void Pipe::release() {
    if (pool_ != nullptr) std::exchange(pool_, nullptr)->give_back(std::move(in_), std::move(out_), held_ == 0);
    held_ = 0;
}

}  // namespace edgeproxy::io
