// SPDX-License-Identifier: Apache-2.0
#include "tls/bio.hpp"

#include "tls/session.hpp"

namespace edgeproxy::tls {
namespace {

Session& session_of(BIO* bio) {
    return *static_cast<Session*>(BIO_get_data(bio));
}

int read(BIO* bio, char* out, std::size_t size, std::size_t* got) {
    Session& session = session_of(bio);
    BIO_clear_retry_flags(bio);
    *got = session.pull(out, size);
    if (*got > 0) return 1;
    if (session.input_ended()) return 0;
    BIO_set_retry_read(bio);
    return -1;
}

int write(BIO* bio, const char* data, std::size_t size, std::size_t* put) {
    BIO_clear_retry_flags(bio);
    const bool taken = session_of(bio).push(data, size);
    *put = taken ? size : 0;
    return taken ? 1 : 0;
}

long control(BIO*, int command, long, void*) {
    // Not BIO_CTRL_EOF: OpenSSL would answer a FIN with an alert and write no more, while we may still have an answer
    // to send.
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
}

using UniqueMethod = std::unique_ptr<BIO_METHOD, Free<BIO_meth_free>>;

UniqueMethod make_method() {
    UniqueMethod method{BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "edgeproxy session")};
    if (!method) return method;
    BIO_meth_set_read_ex(method.get(), read);
    BIO_meth_set_write_ex(method.get(), write);
    BIO_meth_set_ctrl(method.get(), control);
    BIO_meth_set_create(method.get(), create);
    return method;
}

}  // namespace

BIO* make_bio(Session& session) {
    static const UniqueMethod method = make_method();
    BIO* bio = method ? BIO_new(method.get()) : nullptr;
    if (bio != nullptr) BIO_set_data(bio, &session);
    return bio;
}

}  // namespace edgeproxy::tls
