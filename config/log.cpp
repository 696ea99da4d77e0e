// SPDX-License-Identifier: Apache-2.0
#include "config/log.hpp"

#include <array>

namespace edgeproxy::config {

namespace {

constexpr std::string_view cut_mark = "...";

std::string bounded(std::string_view text) {
    if (text.size() <= Log::longest_text) return std::string(text);
    return std::string(text.substr(0, Log::longest_text - cut_mark.size())).append(cut_mark);
}

LogField bounded(const LogField& field) {
    const auto* text = std::get_if<std::string>(&field.value);
    if (text == nullptr || text->size() <= Log::longest_text) return field;
    return {field.key, bounded(std::string_view(*text))};
}

}  // namespace

Log::Log(LogLevel level, Now now) : level_(level), now_(now) {}

void Log::add(LogLevel level, std::string_view event, std::string_view text, Fields fields) {
    if (!wants(level)) return;
    LogRecord record{now_(), level, std::string(event), bounded(text), {}};
    record.fields.reserve(std::min(fields.size(), most_fields));
    for (const LogField& field : fields) {
        if (record.fields.size() == most_fields) break;
        record.fields.push_back(bounded(field));
    }
    if (!ring_.try_push(std::move(record))) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
    }
    // The exchange is a full barrier: either the writer's drain sees this record, or we see that it has to be woken.
    if (!announced_.exchange(true, std::memory_order_seq_cst) && wake_) wake_();
}

std::size_t Log::drain(const std::function<void(LogRecord&&)>& take) {
    announced_.exchange(false, std::memory_order_seq_cst);
    std::size_t taken = 0;
    for (; taken < ring_.capacity(); ++taken) {
        auto record = ring_.try_pop();
        if (!record) break;
        take(std::move(*record));
    }
    return taken;
}

std::string_view to_word(LogLevel level) {
    constexpr std::array<std::string_view, 5> words{"trace", "debug", "info", "warn", "error"};
    return words[static_cast<std::size_t>(level)];
}

}  // namespace edgeproxy::config
