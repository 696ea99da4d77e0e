// SPDX-License-Identifier: Apache-2.0
#include "proxy/http/trailers.hpp"

#include <new>

namespace edgeproxy::http {

bool Trailers::append(char c) {
    if (used_ + pending_ == bytes_.size()) return false;
    bytes_[used_ + pending_++] = c;
    return true;
}

bool Trailers::commit(std::size_t name_size) {
    const std::string_view text(bytes_.data() + used_, pending_);
    pending_ = 0;
    const std::string_view name = text.substr(0, name_size);
    const FieldId id = lookup(name);
    if (has_trait(id, forbidden_in_trailers) || (id == FieldId::odd && odd_ == OddNames::drop)) {
        ++dropped_;
        return true;
    }
    if (count_ == max_trailer_fields) return false;
    ::new (&storage_.fields[count_++]) Field{name, trim(text.substr(name_size)), id};
    used_ += text.size();
    return true;
}

bool Trailers::push(std::string_view name, std::string_view value) {
    pending_ = 0;
    for (char c : name) {
        if (!append(c)) return false;
    }
    for (char c : value) {
        if (!append(c)) return false;
    }
    return commit(name.size());
}

}  // namespace edgeproxy::http
