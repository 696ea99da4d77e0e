// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "proxy/exchange.hpp"
#include "proxy/object_pool.hpp"

namespace edgeproxy::proxy {

/// The memory of one answer: the head as it came, the one that goes to the client, the trailer fields. 20 KB, so
/// pooled.
struct Answer {
    http::Response response;
    ResponseHead head;
    http::Trailers trailers;
};

/// An exchange's place for its answer. Taken at the first use, so that a request that waits (for an endpoint of
/// HTTP/1.1) has none, and the one that was used last, and is in the cache, serves the next. One reactor thread.
class AnswerSpace {
 public:
    explicit AnswerSpace(ObjectPool<Answer>& pool) : pool_(pool) {}

    explicit operator bool() const { return loan_ != nullptr; }
    Answer* operator->() {
        if (!loan_) take();
        return loan_.get();
    }
    void release() { loan_.reset(); }
    /// Bytes of memory that it takes.
    std::size_t held() const { return loan_ ? sizeof(Answer) : 0; }

 private:
    void take() {
        loan_ = pool_.take();
        loan_->response.reset();
        loan_->trailers.clear();
    }
    ObjectPool<Answer>& pool_;
    ObjectPool<Answer>::Loan loan_;
};

}  // namespace edgeproxy::proxy
