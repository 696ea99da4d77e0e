// SPDX-License-Identifier: Apache-2.0
#include "tls/tickets.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace edgeproxy::tls {

static_assert(sizeof(TicketKeys::Key) % 8 == 0);

struct TicketKeys::Entry {
    Key key{};
    std::int64_t created = 0;

    ~Entry() { OPENSSL_cleanse(&key, sizeof key); }
    bool lives(std::int64_t now) const { return created > 0 && created <= now && now - created < lifetime.count(); }
    void make(std::int64_t now) {
        if (RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) != 1 ||
            RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) != 1 ||
            RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size())) != 1)
            throw std::runtime_error("no randomness for ticket keys");
        created = now;
    }
};

namespace {

constexpr std::string_view magic{"EPTK1\0\0\0", 8};

std::int64_t nanoseconds(io::TimePoint point) {
    return std::max<std::int64_t>(1, std::chrono::nanoseconds(point.time_since_epoch()).count());
}

}  // namespace

TicketKeys::TicketKeys(io::TimePoint now) : cipher_(EVP_CIPHER_fetch(nullptr, "AES-256-CBC", nullptr)) {
    if (!cipher_) throw std::runtime_error("OpenSSL has no AES-256-CBC");
    Ring ring{};
    ring[0].make(nanoseconds(now));
    publish(ring);
}

TicketKeys::~TicketKeys() {
    publish(Ring{});
}

bool TicketKeys::advance(io::TimePoint now) {
    const std::lock_guard lock(writing_);
    Ring ring = read_all();
    const std::int64_t at = nanoseconds(now);
    const bool due = !ring[0].lives(at) || at - ring[0].created >= rotation.count();
    const bool expired = std::any_of(ring.begin() + 1, ring.end(),
                                     [at](const Entry& entry) { return entry.created != 0 && !entry.lives(at); });
    if (!due && !expired) return false;
    if (due) {
        std::rotate(ring.begin(), ring.end() - 1, ring.end());
        ring[0].make(at);
    }
    for (auto entry = ring.begin() + 1; entry != ring.end(); ++entry) {
        if (!entry->lives(at)) *entry = Entry{};
    }
    publish(ring);
    return true;
}

std::string TicketKeys::export_keys() const {
    const std::lock_guard lock(writing_);
    const Ring ring = read_all();
    std::string bytes(magic);
    for (const Entry& entry : ring) {
        bytes.append(reinterpret_cast<const char*>(&entry.created), sizeof entry.created);
        bytes.append(reinterpret_cast<const char*>(&entry.key), sizeof entry.key);
    }
    return bytes;
}

bool TicketKeys::import_keys(std::string_view bytes, io::TimePoint now) {
    constexpr std::size_t entry_size = sizeof(std::int64_t) + sizeof(Key);
    if (bytes.size() != magic.size() + slots * entry_size || !bytes.starts_with(magic)) return false;
    Ring ring{};
    for (std::size_t i = 0; i < slots; ++i) {
        const char* at = bytes.data() + magic.size() + i * entry_size;
        std::memcpy(&ring[i].created, at, sizeof ring[i].created);
        std::memcpy(&ring[i].key, at + sizeof ring[i].created, sizeof ring[i].key);
        if (ring[i].created < 0 || ring[i].created > nanoseconds(now)) return false;
        if (!ring[i].lives(nanoseconds(now))) ring[i] = Entry{};
    }
    if (ring[0].created == 0) return false;
    const std::lock_guard lock(writing_);
    publish(ring);
    return true;
}

TicketKeys::Key TicketKeys::current() const {
    Key key;
    read(slots_[0], key);
    return key;
}

bool TicketKeys::find(std::span<const std::uint8_t, name_size> name, Key& key, bool& is_current) const {
    for (const Slot& slot : slots_) {
        if (!read(slot, key)) continue;
        if (CRYPTO_memcmp(key.name.data(), name.data(), name_size) != 0) continue;
        is_current = &slot == slots_.data();
        return true;
    }
    OPENSSL_cleanse(&key, sizeof key);
    return false;
}

bool TicketKeys::read(const Slot& slot, Key& key) const {
    std::array<std::uint64_t, words> copy;
    std::int64_t created;
    for (;;) {
        const std::uint32_t before = sequence_.load(std::memory_order_acquire);
        created = slot.created.load(std::memory_order_acquire);
        // Acquire on each: none of these loads may move behind the second look at the sequence.
        for (std::size_t i = 0; i < words; ++i) copy[i] = slot.key[i].load(std::memory_order_acquire);
        if (before % 2 == 0 && sequence_.load(std::memory_order_relaxed) == before) break;
    }
    std::memcpy(&key, copy.data(), sizeof key);
    OPENSSL_cleanse(copy.data(), sizeof copy);
    return created != 0;
}

TicketKeys::Ring TicketKeys::read_all() const {
    Ring ring{};
    for (std::size_t i = 0; i < slots; ++i) {
        if (read(slots_[i], ring[i].key)) ring[i].created = slots_[i].created.load(std::memory_order_relaxed);
    }
    return ring;
}

void TicketKeys::publish(const Ring& ring) {
    sequence_.fetch_add(1, std::memory_order_acq_rel);
    for (std::size_t i = 0; i < slots; ++i) {
        std::array<std::uint64_t, words> copy;
        std::memcpy(copy.data(), &ring[i].key, sizeof(Key));
        // Release on each: a reader that sees one of these sees the odd sequence as well.
        for (std::size_t w = 0; w < words; ++w) slots_[i].key[w].store(copy[w], std::memory_order_release);
        slots_[i].created.store(ring[i].created, std::memory_order_release);
        OPENSSL_cleanse(copy.data(), sizeof copy);
    }
    sequence_.fetch_add(1, std::memory_order_release);
}

}  // namespace edgeproxy::tls
