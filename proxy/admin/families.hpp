// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <prometheus/metric_family.h>

#include <cstdint>
#include <deque>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "upstream/counters.hpp"

/// How cells become families of metrics: at a scrape only, on the control thread. Not for headers that others include.
namespace edgeproxy::admin {

using Labels = std::initializer_list<std::string_view>;

/// One family under construction. Series with the same label values are summed; they come out in order of these.
class Family {
 public:
    Family(std::string name, std::string help, prometheus::MetricType type, Labels label_names);

    /// Adds to a counter or gauge; a value of 0 makes the series.
    void add(Labels values, double by);
    /// The same for a count, and nothing happens when it is 0: for labels with many words of which few occur.
    void add_seen(Labels values, std::uint64_t count) {
        if (count != 0) add(values, static_cast<double>(count));
    }
    /// Adds to a histogram of upstream/counters.hpp.
    template <class Histogram>
    requires requires { Histogram::bounds; }
    void add(Labels values, const Histogram& histogram) {
        add_buckets(values, Histogram::bounds, histogram.buckets, histogram.sum.value());
    }

    prometheus::MetricFamily finish() const;
    bool empty() const { return samples_.empty(); }

 private:
    struct Sample {
        double value = 0;
        std::vector<std::uint64_t> buckets;  ///< of a histogram, each for itself
        std::uint64_t sum_ns = 0;
    };
    Sample& at(Labels values);
    void add_buckets(Labels values, std::span<const std::int64_t> bounds, std::span<const upstream::Cell> buckets,
                     std::uint64_t sum_ns);

    std::string name_, help_;
    prometheus::MetricType type_;
    std::vector<std::string> label_names_;
    std::span<const std::int64_t> bounds_;
    std::map<std::vector<std::string>, Sample> samples_;
};

/// All families of one scrape.
class Families {
 public:
    Family& counter(std::string name, std::string help, Labels label_names = {}) {
        return families_.emplace_back(std::move(name), std::move(help), prometheus::MetricType::Counter, label_names);
    }
    Family& gauge(std::string name, std::string help, Labels label_names = {}) {
        return families_.emplace_back(std::move(name), std::move(help), prometheus::MetricType::Gauge, label_names);
    }
    Family& histogram(std::string name, std::string help, Labels label_names = {}) {
        return families_.emplace_back(std::move(name), std::move(help), prometheus::MetricType::Histogram, label_names);
    }
    /// Those that have a series, by name.
    std::vector<prometheus::MetricFamily> finish() const;

 private:
    std::deque<Family> families_;  ///< references to them stay valid
};

struct MetricSources;
/// Connections, TLS, requests, tunnels, reactors: what lanes count.
void add_proxy_families(Families& families, const MetricSources& sources);
/// Pools, endpoints, workers.
void add_upstream_families(Families& families, const MetricSources& sources);

}  // namespace edgeproxy::admin
