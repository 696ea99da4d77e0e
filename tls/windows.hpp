// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "tls/io/reactor.hpp"

namespace edgeproxy::tls {

/// The TLS memory of one reactor: the window that records are received into, the batch that records are encrypted into,
/// and a scratch record.
///
/// All connections of the reactor share them, so that an idle connection holds none and the bytes stay warm in the
/// cache. They belong to one connection for one call that does not suspend (`Claim`, asserted). Also hands out the
/// handshake steps of a turn of the loop. One thread; must outlive the reactor's TLS streams. Neither copied nor moved.
class Windows final : io::BatchEnd {
 public:
    static constexpr std::size_t record = 16 * 1024;  ///< plain bytes of a full record (RFC 8446, section 5.1)
    static constexpr std::size_t record_overhead =
        256;  ///< at most what encryption adds (RFC 8446, section 5.2), and header
    static constexpr std::size_t input_size = 128 * 1024;  ///< io::BufferPool::large, so that a rest fits one
    static constexpr std::size_t batch_size = 8 * (record + record_overhead);  ///< 128 KiB of plain bytes
    static constexpr std::size_t kept_batches = 8;                             ///< free batches kept for the next tail
    static constexpr unsigned handshake_steps = 8;  ///< of a turn; the rest waits on the ready list

    using Batch = std::unique_ptr<char[]>;  ///< of batch_size bytes

    explicit Windows(io::Reactor& reactor);
    ~Windows();

    io::Reactor& reactor() const { return reactor_; }

    /// The right to use the windows, for one call that does not suspend.
    class Claim {
     public:
        explicit Claim(Windows& windows);
        ~Claim();
        Claim(const Claim&) = delete;
        Claim& operator=(const Claim&) = delete;

     private:
        Windows& windows_;
    };

    std::span<char> input() { return {input_.get(), input_size}; }
    std::span<char> scratch() { return {scratch_.get(), record}; }

    /// Appends to the batch. False when it does not fit (nothing is taken then).
    bool append(const char* data, std::size_t size);
    std::span<const char> output() const { return {batch_.get(), filled_}; }
    std::size_t room() const { return batch_size - filled_; }
    void clear_output() { filled_ = 0; }
    /// Gives the batch away with what is in it; a fresh empty one takes its place.
    Batch give_batch();
    /// Takes one back that `give_batch` gave.
    void take_back(Batch batch);

    /// Whether a handshake may take a step in this turn. One that was told no calls `reactor.yield()` and asks again
    /// with `waited`; newcomers are told no while others wait, so nobody starves.
    bool take_step(bool waited);
    /// Handshakes that wait for their turn.
    unsigned waiting() const { return waiting_; }
    /// A step that had nothing to do costs nothing.
    void give_back_step() { --steps_; }

 private:
    void batch_ended() override;

    io::Reactor& reactor_;
    Batch batch_;
    std::unique_ptr<char[]> input_, scratch_;
    std::vector<Batch> free_;
    std::size_t filled_ = 0;
    unsigned steps_ = 0;    ///< taken in this turn
    unsigned waiting_ = 0;  ///< handshakes that were told no
    bool claimed_ = false;
};

}  // namespace edgeproxy::tls
