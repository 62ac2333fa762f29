#include "CRE2.h"

#include <re2/re2.h>

#include <cstring>
#include <string>
#include <vector>

struct invar_re2 {
    RE2 expression;
    std::vector<std::string> names;

    invar_re2(re2::StringPiece pattern, const RE2::Options &options) : expression(pattern, options) {}
};

extern "C" invar_re2 *invar_re2_new(
    const char *pattern, size_t length, bool case_insensitive, bool dot_matches_newline, size_t max_memory,
    invar_re2_error *error) {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_case_sensitive(!case_insensitive);
    options.set_dot_nl(dot_matches_newline);
    options.set_max_mem(static_cast<int64_t>(max_memory));
    auto *made = new invar_re2(re2::StringPiece(pattern, length), options);
    if (!made->expression.ok()) {
        error->code = static_cast<int>(made->expression.error_code());
        const std::string &argument = made->expression.error_arg();
        const size_t kept = argument.size() < sizeof(error->argument) ? argument.size() : sizeof(error->argument) - 1;
        std::memcpy(error->argument, argument.data(), kept);
        error->argument[kept] = '\0';
        delete made;
        return nullptr;
    }
    made->names.resize(static_cast<size_t>(made->expression.NumberOfCapturingGroups()) + 1);
    for (const auto &entry : made->expression.CapturingGroupNames()) {
        made->names[static_cast<size_t>(entry.first)] = entry.second;
    }
    return made;
}

extern "C" void invar_re2_delete(invar_re2 *expression) { delete expression; }

extern "C" int invar_re2_group_count(const invar_re2 *expression) {
    return expression->expression.NumberOfCapturingGroups();
}

extern "C" const char *invar_re2_group_name(const invar_re2 *expression, int index) {
    if (index < 0 || static_cast<size_t>(index) >= expression->names.size()) return nullptr;
    const std::string &name = expression->names[static_cast<size_t>(index)];
    return name.empty() ? nullptr : name.c_str();
}

extern "C" bool invar_re2_match(
    const invar_re2 *expression, const char *text, size_t length, size_t start, bool anchored,
    invar_re2_range *ranges, int count) {
    if (text == nullptr) text = "";
    constexpr int onStack = 16;
    re2::StringPiece small[onStack];
    std::vector<re2::StringPiece> large;
    re2::StringPiece *groups = small;
    if (count > onStack) {
        large.resize(static_cast<size_t>(count));
        groups = large.data();
    }
    re2::StringPiece input(text, length);
    if (!expression->expression.Match(
            input, start, length, anchored ? RE2::ANCHOR_BOTH : RE2::UNANCHORED, groups, count)) {
        return false;
    }
    for (int i = 0; i < count; ++i) {
        if (groups[i].data() == nullptr) {
            ranges[i] = {-1, -1};
        } else {
            ranges[i].begin = groups[i].data() - text;
            ranges[i].end = ranges[i].begin + static_cast<ptrdiff_t>(groups[i].size());
        }
    }
    return true;
}

extern "C" const void *invar_find(const void *text, size_t length, const void *needle, size_t needle_length) {
    return memmem(text, length, needle, needle_length);
}
