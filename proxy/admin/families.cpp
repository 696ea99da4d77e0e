// SPDX-License-Identifier: Apache-2.0
#include "proxy/admin/families.hpp"

#include <algorithm>
#include <limits>

namespace edgeproxy::admin {

namespace {

constexpr double ns_per_second = 1e9;

}  // namespace

Family::Family(std::string name, std::string help, prometheus::MetricType type, Labels label_names)
    : name_(std::move(name)),
      help_(std::move(help)),
      type_(type),
      label_names_(label_names.begin(), label_names.end()) {}

Family::Sample& Family::at(Labels values) {
    return samples_[std::vector<std::string>(values.begin(), values.end())];
}

void Family::add(Labels values, double by) {
    at(values).value += by;
}

void Family::add_buckets(Labels values, std::span<const std::int64_t> bounds, std::span<const upstream::Cell> buckets,
                         std::uint64_t sum_ns) {
    bounds_ = bounds;
    Sample& sample = at(values);
    sample.buckets.resize(buckets.size());
    for (std::size_t i = 0; i < buckets.size(); ++i) sample.buckets[i] += buckets[i].value();
    sample.sum_ns += sum_ns;
}

prometheus::MetricFamily Family::finish() const {
    prometheus::MetricFamily family{name_, help_, type_, {}};
    family.metric.reserve(samples_.size());
    for (const auto& [values, sample] : samples_) {
        prometheus::ClientMetric& metric = family.metric.emplace_back();
        for (std::size_t i = 0; i < label_names_.size(); ++i) metric.label.push_back({label_names_[i], values[i]});
        metric.counter.value = metric.gauge.value = sample.value;
        if (type_ != prometheus::MetricType::Histogram) continue;
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < sample.buckets.size(); ++i) {
            count += sample.buckets[i];
            const bool last = i == bounds_.size();
            const double bound =
                last ? std::numeric_limits<double>::infinity() : static_cast<double>(bounds_[i]) / ns_per_second;
            metric.histogram.bucket.push_back({count, bound});
        }
        metric.histogram.sample_count = count;
        metric.histogram.sample_sum = static_cast<double>(sample.sum_ns) / ns_per_second;
    }
    return family;
}

std::vector<prometheus::MetricFamily> Families::finish() const {
    std::vector<prometheus::MetricFamily> finished;
    finished.reserve(families_.size());
    for (const Family& family : families_) {
        if (!family.empty()) finished.push_back(family.finish());
    }
    std::sort(finished.begin(), finished.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    return finished;
}

}  // namespace edgeproxy::admin
