// SPDX-License-Identifier: Apache-2.0
#include "tls/io/error.hpp"

namespace edgeproxy::io {
namespace {

class Category final : public boost::system::error_category {
 public:
    const char* name() const noexcept override { return "edgeproxy.io"; }
    std::string message(int code) const override {
        switch (static_cast<errc>(code)) {
            case errc::eof:
                return "end of stream";
            case errc::timed_out:
                return "timed out";
            case errc::cancelled:
                return "cancelled";
        }
        return "unknown";
    }
};

}  // namespace

const boost::system::error_category& category() {
    static const Category instance;
    return instance;
}

}  // namespace edgeproxy::io
