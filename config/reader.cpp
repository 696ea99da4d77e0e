// SPDX-License-Identifier: Apache-2.0
#include "config/reader.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <unordered_map>

#include "config/expand.hpp"
#include "config/load.hpp"

namespace edgeproxy::config {

namespace {

/// Ends the reading at once: the problem is already noted.
struct GivenUp {};

using Mutable = std::shared_ptr<Node>;

/// How many bytes the scalar at `offset` takes in the file; quotes and escapes included, to the end of its first line
/// at most.
unsigned written_length(std::string_view source, std::size_t offset, std::size_t value_length) {
    const auto line = source.substr(std::min(offset, source.size()));
    const auto end = std::min(line.find('\n'), line.size());
    if (line.empty() || (line.front() != '"' && line.front() != '\'')) {
        return static_cast<unsigned>(std::min(value_length, end));
    }
    const char quote = line.front();
    std::size_t i = 1;
    for (; i < end && line[i] != quote; ++i) {
        if (quote == '"' && line[i] == '\\') ++i;
    }
    return static_cast<unsigned>(std::min(i + 1, end));
}

/// Builds our tree from the parser's events. Finished values go to the frame on top; an anchor remembers its finished
/// value.
class TreeBuilder : public YAML::EventHandler {
 public:
    TreeBuilder(std::string_view source, Problems& problems) : source_(source), problems_(problems) {}

    NodePtr root() const { return root_; }

    void OnDocumentStart(const YAML::Mark&) override {}
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        finish(make(Node::Kind::null, mark), anchor);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        refuse_tag(mark, tag);
        const auto node = make(Node::Kind::scalar, mark);
        node->text = value;
        if (value.find('\0') != std::string::npos) problems_.error(node->place, "not-text", "a zero byte is no text");
        node->place.length = written_length(source_, static_cast<std::size_t>(mark.pos), value.size());
        finish(node, anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        const Place place = at(mark);
        if (found == anchors_.end()) {
            problems_.error(place, "bad-alias", "an alias cannot stand inside what it refers to");
            throw GivenUp{};
        }
        alias_nodes_ += found->second->nodes;
        if (alias_nodes_ > most_alias_nodes) {
            problems_.error(place, "too-many-aliases",
                            "all aliases together stand for more than " + std::to_string(most_alias_nodes) + " values");
            throw GivenUp{};
        }
        check_depth(place, found->second->height);
        attach(found->second);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(Node::Kind::list, mark, tag, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(Node::Kind::map, mark, tag, anchor);
    }
    void OnMapEnd() override {
        apply_merges();
        close();
    }

 private:
    struct Frame {
        Mutable node;
        YAML::anchor_t anchor;
        bool key_next = true;
        bool key_usable = false;
        Entry pending;
        std::unordered_map<std::string, Place> seen;
        std::vector<Entry> merges;
    };

    static Place at(const YAML::Mark& mark) {
        return {static_cast<unsigned>(mark.line + 1), static_cast<unsigned>(mark.column + 1), 1};
    }

    Mutable make(Node::Kind kind, const YAML::Mark& mark) {
        if (++nodes_ > most_nodes) {
            problems_.error(at(mark), "too-large", "more than " + std::to_string(most_nodes) + " values");
            throw GivenUp{};
        }
        auto node = std::make_shared<Node>();
        node->kind = kind;
        node->place = at(mark);
        return node;
    }

    void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
        if (tag.empty() || tag == "?" || tag == "!" || tag == "tag:yaml.org,2002:str") return;
        problems_.error(at(mark), "bad-tag", "YAML tags have no meaning here", "leave the tag out");
    }

    void check_depth(Place place, unsigned more) {
        if (frames_.size() + more <= deepest_nesting) return;
        problems_.error(place, "too-deep",
                        "nested too deeply: more than " + std::to_string(deepest_nesting) + " levels");
        throw GivenUp{};
    }

    void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
        refuse_tag(mark, tag);
        check_depth(at(mark), 1);
        frames_.push_back(Frame{make(kind, mark), anchor, true, false, {}, {}, {}});
    }

    void close() {
        const Mutable node = frames_.back().node;
        const auto anchor = frames_.back().anchor;
        frames_.pop_back();
        finish(node, anchor);
    }

    void finish(const Mutable& node, YAML::anchor_t anchor) {
        const auto grow = [&](const Node& child) {
            node->nodes += child.nodes;
            node->height = std::max(node->height, child.height + 1);
        };
        for (const auto& item : node->items) grow(*item);
        for (const auto& entry : node->entries) grow(*entry.value);
        if (anchor != 0) anchors_[anchor] = node;
        attach(node);
    }

    void attach(const NodePtr& node) {
        if (frames_.empty()) {
            root_ = node;
            return;
        }
        Frame& frame = frames_.back();
        if (frame.node->is(Node::Kind::list)) {
            frame.node->items.push_back(node);
        } else if (frame.key_next) {
            take_key(frame, *node);
        } else {
            take_value(frame, node);
        }
    }

    void take_key(Frame& frame, const Node& node) {
        frame.key_next = false;
        frame.key_usable = node.is(Node::Kind::scalar);
        frame.pending = {node.text, node.place, nullptr};
        if (!frame.key_usable) {
            problems_.error(node.place, "bad-key", "a key must be text", "quote it");
            return;
        }
        const auto [first, fresh] = frame.seen.emplace(node.text, node.place);
        if (fresh || node.text == "<<") return;
        frame.key_usable = false;
        problems_.error(
            node.place, "duplicate-key",
            "key \"" + node.text + "\" is written twice: first in line " + std::to_string(first->second.line));
    }

    void take_value(Frame& frame, const NodePtr& node) {
        frame.key_next = true;
        if (!frame.key_usable) return;
        frame.pending.value = node;
        auto& list = frame.pending.key == "<<" ? frame.merges : frame.node->entries;
        list.push_back(std::move(frame.pending));
    }

    /// What is written in the map itself wins over what is merged, an earlier merge over a later one.
    void apply_merges() {
        Frame& frame = frames_.back();
        for (const Entry& merge : std::exchange(frame.merges, {})) {
            if (merge.value->is(Node::Kind::map)) {
                merge_map(frame, *merge.value);
                continue;
            }
            const auto& items = merge.value->items;
            const bool maps =
                std::all_of(items.begin(), items.end(), [](const NodePtr& n) { return n->is(Node::Kind::map); });
            if (!merge.value->is(Node::Kind::list) || !maps) {
                problems_.error(merge.place, "bad-merge", "\"<<\" takes a map or a list of maps");
                continue;
            }
            for (const auto& item : items) merge_map(frame, *item);
        }
    }

    static void merge_map(Frame& frame, const Node& from) {
        for (const Entry& entry : from.entries) {
            if (frame.seen.emplace(entry.key, entry.place).second) frame.node->entries.push_back(entry);
        }
    }

    std::string_view source_;
    Problems& problems_;
    NodePtr root_;
    std::vector<Frame> frames_;
    std::unordered_map<YAML::anchor_t, NodePtr> anchors_;
    std::size_t nodes_ = 0;
    std::size_t alias_nodes_ = 0;
};

/// Notices that a document begins, and where.
class SecondDocument : public YAML::EventHandler {
 public:
    std::optional<YAML::Mark> mark;

    void OnDocumentStart(const YAML::Mark& start) override {
        mark = start;
        throw GivenUp{};
    }
    void OnDocumentEnd() override {}
    void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
    void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
    void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
    void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnSequenceEnd() override {}
    void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
    void OnMapEnd() override {}
};

std::string_view line_at(std::string_view text, unsigned line) {
    for (unsigned current = 1; current < line; ++current) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return {};
        text.remove_prefix(end + 1);
    }
    return text.substr(0, text.find('\n'));
}

/// The nearest line at or above `line` that is indented with a tab, if the lines between are part of the same trouble.
std::optional<Place> tab_indent(std::string_view text, unsigned line) {
    constexpr unsigned lines_back = 2;
    for (unsigned back = 0; back <= lines_back && back < line; ++back) {
        const auto content = line_at(text, line - back);
        const auto first = content.find_first_not_of(" \t");
        const auto tab = content.find('\t');
        if (tab < first && first != std::string_view::npos)
            return Place{line - back, static_cast<unsigned>(tab + 1), 1};
    }
    return std::nullopt;
}

constexpr const char* quote_hint = "quote values that begin with *, &, @, %, ` or !";

/// The library's words for the commonest slips, said so that one knows what to do.
void report_syntax(const YAML::ParserException& error, std::string_view text, Problems& problems) {
    const std::string& said = error.msg;
    Place place{static_cast<unsigned>(std::max(error.mark.line, 0) + 1),
                static_cast<unsigned>(std::max(error.mark.column, 0) + 1), 1};
    const auto line = line_at(text, place.line);
    const auto says = [&](std::string_view part) { return said.find(part) != std::string::npos; };
    if (says("anchor") || says("alias")) {
        const auto end = line.find_first_of(" \t,]}#", std::min<std::size_t>(place.column - 1, line.size()));
        const auto word = line.substr(std::min<std::size_t>(place.column - 1, line.size()),
                                      end == std::string_view::npos ? end : end - (place.column - 1));
        const bool star = word.starts_with('*') || word.starts_with('&');
        place.length = static_cast<unsigned>(std::max<std::size_t>(word.size(), 1));
        problems.error(place, "bad-alias",
                       "a value that begins with * is an alias in YAML, and this one is not defined",
                       star ? "if it is meant as text, quote it: \"" + std::string(word) + "\"" : quote_hint);
    } else if (const auto tab = tab_indent(text, place.line)) {
        problems.error(*tab, "tab-indent", "tab used for indentation", "YAML wants spaces");
    } else if (says("bad file")) {
        problems.error(place, "too-deep",
                       "nested too deeply: more than " + std::to_string(deepest_nesting) + " levels");
    } else if (says("unknown token")) {
        problems.error(place, "syntax", "a value cannot begin with this character", "quote it");
    } else if (line.find("${") != std::string_view::npos) {
        problems.error(place, "syntax", said, "quote values with ${...} in them");
    } else if (says("illegal map value")) {
        problems.error(place, "syntax", "a key with \":\" is not allowed here",
                       "quote values that contain \": \", and check the indentation");
    } else {
        problems.error(place, "syntax", said);
    }
}

void refuse_second_document(YAML::Parser& parser, Problems& problems) {
    SecondDocument second;
    try {
        parser.HandleNextDocument(second);
    } catch (const GivenUp&) {
    } catch (const YAML::ParserException& error) {
        second.mark = error.mark;
    }
    if (!second.mark) return;
    const Place place{static_cast<unsigned>(std::max(second.mark->line, 0) + 1),
                      static_cast<unsigned>(std::max(second.mark->column, 0) + 1), 1};
    problems.error(place, "second-document", "a second document begins here",
                   "one file holds one stack; take the \"---\" out");
}

/// What the YAML library would read in some other way than we show it.
bool refuse_bytes(std::string_view text, Problems& problems) {
    if (text.size() > largest_file) {
        problems.error({1, 1, 1}, "too-large",
                       "the file is larger than " + std::to_string(largest_file / 1024 / 1024) + " MiB");
        return true;
    }
    unsigned number = 1;
    for (std::size_t start = 0; start < text.size(); ++number) {
        const auto end = std::min(text.find('\n', start), text.size());
        if (end - start > longest_line) {
            problems.error({number, 1, 1}, "too-large",
                           "the line is longer than " + std::to_string(longest_line / 1024) + " KiB");
            return true;
        }
        start = end + 1;
    }
    const auto bad = first_bad_byte(text);
    if (bad == std::string_view::npos) return false;
    const auto before = text.substr(0, bad);
    const auto line = static_cast<unsigned>(std::count(before.begin(), before.end(), '\n') + 1);
    const auto start = before.rfind('\n');
    const auto column =
        static_cast<unsigned>(start == std::string_view::npos ? before.size() + 1 : before.size() - start);
    problems.error({line, column, 1}, "not-text", "the file is not UTF-8 text");
    return true;
}

}  // namespace

const Entry* Node::find(std::string_view key) const {
    const auto found = std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.key == key; });
    return found == entries.end() ? nullptr : &*found;
}

NodePtr read_yaml(std::string_view text, Problems& problems) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
    if (refuse_bytes(text, problems)) return nullptr;
    std::istringstream stream{std::string(text)};
    TreeBuilder builder(text, problems);
    try {
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(builder)) return make_map({}, {});
        refuse_second_document(parser, problems);
    } catch (const GivenUp&) {
        return nullptr;
    } catch (const YAML::ParserException& error) {
        report_syntax(error, text, problems);
        return nullptr;
    }
    if (!builder.root() || builder.root()->is(Node::Kind::null)) return make_map({}, {});
    return builder.root();
}

NodePtr make_scalar(std::string text, Place place) {
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::scalar;
    node->place = place;
    node->text = std::move(text);
    return node;
}

NodePtr make_list(std::vector<NodePtr> items, Place place) {
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::list;
    node->place = place;
    node->items = std::move(items);
    return node;
}

NodePtr make_map(std::vector<Entry> entries, Place place) {
    auto node = std::make_shared<Node>();
    node->kind = Node::Kind::map;
    node->place = place;
    node->entries = std::move(entries);
    return node;
}

}  // namespace edgeproxy::config
