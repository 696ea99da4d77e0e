// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/access_log.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string_view>
#include <type_traits>

namespace edgeproxy::admin {
namespace {

static_assert(std::is_trivially_copyable_v<ExchangeRecord>);
static_assert(alignof(ExchangeRecord) <= RecordRing::alignment);

constexpr std::string_view cut_mark = "...";

struct CopiedText {
    std::string_view ExchangeRecord::*view;
    std::size_t longest;
};

/// The views that do not live as long as the program.
constexpr std::array<CopiedText, 12> copied_texts{{{&ExchangeRecord::endpoint, AccessLog::longest_name},
                                                   {&ExchangeRecord::client_ip, AccessLog::longest_name},
                                                   {&ExchangeRecord::peer, AccessLog::longest_name},
                                                   {&ExchangeRecord::client_cert, AccessLog::longest_text},
                                                   {&ExchangeRecord::method_text, AccessLog::longest_name},
                                                   {&ExchangeRecord::host, AccessLog::longest_name},
                                                   {&ExchangeRecord::path, AccessLog::longest_text},
                                                   {&ExchangeRecord::query, AccessLog::longest_text},
                                                   {&ExchangeRecord::request_id, AccessLog::longest_name},
                                                   {&ExchangeRecord::trace_id, AccessLog::longest_name},
                                                   {&ExchangeRecord::referer, AccessLog::longest_text},
                                                   {&ExchangeRecord::user_agent, AccessLog::longest_text}}};

std::size_t size_of_texts(const ExchangeRecord& record) {
    std::size_t size = 0;
    for (const CopiedText& text : copied_texts) size += std::min((record.*text.view).size(), text.longest);
    return size;
}

char* copy_text(std::string_view& view, std::size_t longest, char* to) {
    const std::size_t size = std::min(view.size(), longest);
    if (size == 0) return to;
    std::memcpy(to, view.data(), size);
    if (size < view.size()) std::memcpy(to + size - cut_mark.size(), cut_mark.data(), cut_mark.size());
    view = {to, size};
    return to + size;
}

}  // namespace

AccessLog::AccessLog(unsigned lanes, std::size_t bytes_per_lane) {
    for (unsigned i = 0; i < lanes; ++i) lanes_.push_back(std::make_unique<Lane>(bytes_per_lane));
}

void AccessLog::write(unsigned lane_index, const ExchangeRecord& record) {
    Lane& lane = *lanes_[lane_index];
    void* const place = lane.ring.reserve(sizeof(ExchangeRecord) + size_of_texts(record));
    if (place == nullptr) {
        lane.lost.store(lane.lost.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
        return;
    }
    auto* const copy = new (place) ExchangeRecord(record);
    char* to = static_cast<char*>(place) + sizeof(ExchangeRecord);
    for (const CopiedText& text : copied_texts) to = copy_text(copy->*text.view, text.longest, to);
    lane.ring.commit();

    // Commit and this load are sequentially consistent, as are the writer's store and look in `sleep`: one sees the
    // other.
    const bool crowded = lane.ring.crowded();
    const bool urge = crowded && !lane.urged;
    lane.urged = crowded;
    const bool asleep = lane.asleep.load(std::memory_order_seq_cst) && lane.asleep.exchange(false);
    if ((asleep || urge) && wake_) wake_();
}

std::size_t AccessLog::drain(const std::function<void(const ExchangeRecord&)>& take) {
    std::size_t taken = 0;
    for (const auto& lane : lanes_) {
        // Whoever commits from now on and does not wake us is seen by the next `sleep`.
        if (lane->asleep.load(std::memory_order_relaxed)) lane->asleep.store(false, std::memory_order_relaxed);
        const std::size_t most = lane->ring.capacity() / sizeof(ExchangeRecord);
        for (std::size_t i = 0; i < most; ++i) {
            const void* place = lane->ring.front();
            if (place == nullptr) break;
            take(*std::launder(static_cast<const ExchangeRecord*>(place)));
            lane->ring.pop();
            ++taken;
        }
    }
    return taken;
}

bool AccessLog::sleep() {
    for (const auto& lane : lanes_) lane->asleep.store(true, std::memory_order_seq_cst);
    for (const auto& lane : lanes_) {
        if (!lane->ring.empty()) return false;
    }
    return true;
}

std::uint64_t AccessLog::dropped() const {
    std::uint64_t lost = 0;
    for (const auto& lane : lanes_) lost += lane->lost.load(std::memory_order_relaxed);
    return lost;
}

}  // namespace edgeproxy::admin
