// SPDX-License-Identifier: Apache-2.0
//
// What a table of settings is made of. A `Group<T>` lists the settings by which a group in the file fills a T; each
// is one line with name, member, what is allowed, and help. Reading, the faults and the
// reference (config/schema/reference.h) all come from that line; the default is what a new T holds.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/choices.h"
#include "config/file/suggest.h"
#include "config/file/value.h"
#include "config/schema/text_rules.h"

namespace sluice::config {

/// A line of the reference.
struct Row {
  std::string name;  // full path: "pools[].backends[].weight"
  std::string type;
  std::string allowed;
  std::string fallback;  // the default, as one would write it; or words
  std::string help;
};

template <class T>
struct Field {
  Row about;  // `name` without what encloses it
  std::function<void(const Value&, T&)> read;
  bool required = false;
  std::function<bool(const T&)> applies;               // empty: always
  std::string depends_on;                              // the setting that `applies` looks at
  std::string condition;                               // `applies` in words
  std::function<void(std::vector<Row>&)> about_inner;  // of what it contains, names relative to it
};

template <class T>
using Group = std::vector<Field<T>>;

// --- Modifiers, around a field ---

template <class T>
Field<T> required(Field<T> field) {
  field.required = true;
  field.about.fallback = "required";
  return field;
}

/// The default is not a value of its own but is found from other settings.
template <class T>
Field<T> defaults_to(std::string words, Field<T> field) {
  field.about.fallback = std::move(words);
  return field;
}

/// The setting is refused where `applies` does not hold. `applies` looks at the setting `depends_on`, beside it.
template <class T>
Field<T> only_with(std::string depends_on, std::string condition, bool (*applies)(const T&), Field<T> field) {
  field.applies = applies;
  field.depends_on = std::move(depends_on);
  field.condition = std::move(condition);
  field.about.help += fmt::format(" (only with {})", field.condition);
  return field;
}

// --- Fields, by type ---

template <class N>
struct IntegerOf {
  using Type = N;
  static std::string show(N value) { return fmt::to_string(value); }
};
template <class N>
struct IntegerOf<std::optional<N>> {
  using Type = N;
  static std::string show(const std::optional<N>& value) { return value ? fmt::to_string(*value) : "none"; }
};

/// A whole number: 5, or 5.0.
template <class T, class N>
Field<T> integer(std::string name, N T::* member, Range range, std::string help) {
  Field<T> out{{std::move(name), "integer", range.to_string(), IntegerOf<N>::show(T{}.*member), std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    if (const auto read = read_integer(value, range)) into.*member = static_cast<typename IntegerOf<N>::Type>(*read);
  };
  return out;
}

template <class T>
Field<T> number(std::string name, double T::* member, Range range, std::string help) {
  Field<T> out{{std::move(name), "number", range.to_string(), number_in_words(T{}.*member), std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    if (const auto read = read_number(value, range)) into.*member = *read;
  };
  return out;
}

/// Seconds in the file, milliseconds in the model.
template <class T>
Field<T> seconds(std::string name, std::chrono::milliseconds T::* member, Range range, std::string help) {
  const double fallback = static_cast<double>((T{}.*member).count()) / 1000;
  Field<T> out{{std::move(name), "number", range.to_string(), number_in_words(fallback), std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    const auto read = read_number(value, range);
    if (read) into.*member = std::chrono::milliseconds(std::llround(*read * 1000));
  };
  return out;
}

template <class T>
Field<T> boolean(std::string name, bool T::* member, std::string help) {
  const std::string fallback = T{}.*member ? "true" : "false";
  Field<T> out{{std::move(name), "boolean", "true, false", fallback, std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    if (const auto read = read_boolean(value)) into.*member = *read;
  };
  return out;
}

/// A faulty string is kept too, so that what refers to it is not faulty for that reason.
template <class T>
Field<T> text(std::string name, std::string T::* member, TextRule rule, std::string help) {
  const std::string fallback = fmt::format("\"{}\"", T{}.*member);
  Field<T> out{{std::move(name), "string", rule.allowed, fallback, std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    const auto read = read_string(value, rule.allowed);
    if (!read) return;
    into.*member = *read;
    const std::string wrong = rule.wrong(*read);
    if (!wrong.empty()) value.fault(fmt::format("\"{}\" {}; allowed: {}", *read, wrong, rule.allowed));
  };
  return out;
}

/// An array of strings.
template <class T>
Field<T> texts(std::string name, std::vector<std::string> T::* member, TextRule rule, size_t most, std::string help) {
  const std::string allowed = fmt::format("at most {}, each {}", most, rule.allowed);
  Field<T> out{{std::move(name), "array of strings", allowed, "[]", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    into.*member = read_strings(value, most, rule.allowed);
    for (const std::string& each : into.*member) {
      const std::string wrong = rule.wrong(each);
      if (!wrong.empty()) value.fault(fmt::format("\"{}\" {}; allowed: {}", each, wrong, rule.allowed));
    }
  };
  return out;
}

/// An array of prefixes.
template <class T>
Field<T> prefixes(std::string name, std::vector<IpPrefix> T::* member, size_t most, std::string help) {
  const std::string allowed =
      fmt::format("at most {}, each a prefix such as \"192.0.2.0/24\" or \"2001:db8::/32\"", most);
  Field<T> out{{std::move(name), "array of strings", allowed, "[]", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    for (const std::string& each : read_strings(value, most, allowed)) {
      const auto read = IpPrefix::parse(each);
      if (read) {
        (into.*member).push_back(*read);
      } else {
        value.fault(fmt::format("\"{}\" {}; allowed: {}", each, read.error(), allowed));
      }
    }
  };
  return out;
}

/// An array of unicast addresses with ports.
template <class T>
Field<T> socket_addresses(std::string name, std::vector<SocketAddress> T::* member, size_t most, std::string help,
                          std::string (*fault_of)(const std::string&) = address_fault) {
  const std::string allowed =
      fmt::format("at most {}, each ADDRESS:PORT with a numeric unicast address (\"10.9.0.2:2526\")", most);
  Field<T> out{{std::move(name), "array of strings", allowed, "[]", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    for (const std::string& each : read_strings(value, most, allowed)) {
      const auto parsed = SocketAddress::parse(each);
      const std::string wrong = parsed ? fault_of(parsed->address.to_string()) : parsed.error();
      if (wrong.empty())
        (into.*member).push_back(*parsed);
      else
        value.fault(fmt::format("\"{}\" {}; allowed: {}", each, wrong, allowed));
    }
  };
  return out;
}

/// An array of numbers.
template <class T>
Field<T> numbers(std::string name, std::vector<double> T::* member, Range range, size_t most, std::string help) {
  const std::string allowed = fmt::format("at most {}, each {}", most, range.to_string());
  Field<T> out{{std::move(name), "array of numbers", allowed, "[]", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) { into.*member = read_numbers(value, most, range); };
  return out;
}

/// A day: "2026-12-01".
template <class T>
Field<T> date(std::string name, std::chrono::sys_days T::* member, std::string help) {
  Field<T> out{{std::move(name), "string", std::string(kDateAllowed), "", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    if (const auto read = read_date(value)) into.*member = *read;
  };
  return out;
}

/// An address that a host on a network may have; left at `::` if faulty.
template <class T>
Field<T> address(std::string name, IpAddress T::* member, std::string help) {
  const std::string allowed = "a unicast IPv4 or IPv6 address";
  Field<T> out{{std::move(name), "string", allowed, "required", std::move(help)}, {}};
  out.required = true;
  out.read = [=](const Value& value, T& into) {
    const auto read = read_string(value, allowed);
    if (!read) return;
    const std::string wrong = address_fault(*read);
    if (wrong.empty())
      into.*member = *IpAddress::parse(*read);
    else
      value.fault(fmt::format("\"{}\" {}; allowed: {}, such as \"192.0.2.25\"", *read, wrong, allowed));
  };
  return out;
}

/// An array of them.
template <class T>
Field<T> addresses(std::string name, std::vector<IpAddress> T::* member, size_t most, std::string help) {
  const std::string allowed = fmt::format("at most {} unicast IPv4 or IPv6 addresses", most);
  Field<T> out{{std::move(name), "array of strings", allowed, "[]", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    for (const std::string& each : read_strings(value, most, allowed)) {
      const std::string wrong = address_fault(each);
      if (wrong.empty())
        (into.*member).push_back(*IpAddress::parse(each));
      else
        value.fault(fmt::format("\"{}\" {}; allowed: {}, such as \"10.0.1.2\"", each, wrong, allowed));
    }
  };
  return out;
}

/// A unicast address and a port.
template <class T>
Field<T> socket_address(std::string name, std::optional<SocketAddress> T::* member, std::string help) {
  const std::string allowed = "ADDRESS:PORT with a numeric unicast address (\"10.0.1.12:9707\")";
  Field<T> out{{std::move(name), "string", allowed, "none", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    const auto read = read_string(value, allowed);
    if (!read) return;
    const auto parsed = SocketAddress::parse(*read);
    const std::string wrong = parsed ? address_fault(parsed->address.to_string()) : parsed.error();
    if (wrong.empty())
      into.*member = *parsed;
    else
      value.fault(fmt::format("\"{}\" {}; allowed: {}", *read, wrong, allowed));
  };
  return out;
}

/// One of the words in `kChoices<E>`.
template <class T, class E>
Field<T> choice(std::string name, E T::* member, std::string help) {
  std::vector<std::string> words;
  words.reserve(kChoices<E>.size());
  for (const auto& known : kChoices<E>) words.emplace_back(known.name);
  const std::string fallback = fmt::format("\"{}\"", name_of(T{}.*member));
  Field<T> out{{std::move(name), "string", quoted_list(words), fallback, std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    if (const auto read = read_choice(value, words)) into.*member = kChoices<E>[*read].value;
  };
  return out;
}

// --- Fields that contain others ---

template <class T>
void read_group(const Value& group, const Group<T>& fields, T& into);

/// The rows of `fields` below `prefix`.
template <class T>
void describe_group(const std::string& prefix, const Group<T>& fields, std::vector<Row>& out) {
  for (const Field<T>& field : fields) {
    Row row = field.about;
    row.name = prefix + row.name;
    out.push_back(row);
    std::vector<Row> inner;
    if (field.about_inner) field.about_inner(inner);
    for (Row& below : inner) {
      below.name = row.name + below.name;
      out.push_back(std::move(below));
    }
  }
}

/// A group that fills a member.
template <class T, class M>
Field<T> group(std::string name, M T::* member, const Group<M>& fields, std::string help) {
  Field<T> out{{std::move(name), "group", "", "", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) { read_group(value, fields, into.*member); };
  out.about_inner = [=](std::vector<Row>& rows) { describe_group(".", fields, rows); };
  return out;
}

/// A group that may be left out.
template <class T, class M>
Field<T> optional_group(std::string name, std::optional<M> T::* member, const Group<M>& fields, std::string help) {
  Field<T> out{{std::move(name), "group", "", "none", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) { read_group(value, fields, (into.*member).emplace()); };
  out.about_inner = [=](std::vector<Row>& rows) { describe_group(".", fields, rows); };
  return out;
}

/// A group in the file whose settings fill the enclosing group's own T.
template <class T>
Field<T> section(std::string name, const Group<T>& fields, std::string help) {
  Field<T> out{{std::move(name), "group", "", "", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) { read_group(value, fields, into); };
  out.about_inner = [=](std::vector<Row>& rows) { describe_group(".", fields, rows); };
  return out;
}

/// A list of groups. Element n of the list is element n of the vector, faulty or not.
template <class T, class M>
Field<T> list(std::string name, std::vector<M> T::* member, const Group<M>& fields, size_t most, std::string help) {
  const std::string allowed = fmt::format("at most {}", most);
  Field<T> out{{std::move(name), "list of groups", allowed, "", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    for (const Value& element : read_elements(value, most)) read_group(element, fields, (into.*member).emplace_back());
  };
  out.about_inner = [=](std::vector<Row>& rows) { describe_group("[].", fields, rows); };
  return out;
}

/// A group of groups, each named by the operator; the name goes into `M::name`.
template <class T, class M>
Field<T> named_groups(std::string name, std::vector<M> T::* member, const Group<M>& fields, size_t most,
                      std::string help) {
  const std::string allowed = fmt::format("at most {}", most);
  Field<T> out{{std::move(name), "group of named groups", allowed, "", std::move(help)}, {}};
  out.read = [=](const Value& value, T& into) {
    const std::vector<Value> members = read_members(value);
    if (members.size() > most) return value.fault(fmt::format("has {} members; allowed: {}", members.size(), allowed));
    for (const Value& each : members) {
      M& made = (into.*member).emplace_back();
      made.name = each.setting.getName();
      read_group(each, fields, made);
    }
  };
  out.about_inner = [=](std::vector<Row>& rows) { describe_group(".NAME.", fields, rows); };
  return out;
}

template <class T>
std::vector<std::string> names_of(const Group<T>& fields) {
  std::vector<std::string> out;
  for (const Field<T>& field : fields) out.push_back(field.about.name);
  return out;
}

template <class T>
void read_group(const Value& group, const Group<T>& fields, T& into) {
  const std::string inside = group.path.empty() ? "" : group.path + ".";
  for (const Value& member : read_members(group)) {
    const std::string name = member.setting.getName();
    const auto field = std::ranges::find(fields, name, [](const Field<T>& each) { return each.about.name; });
    if (field != fields.end()) {
      field->read(member, into);
      continue;
    }
    const auto known = names_of(fields);
    member.fault(fmt::format("unknown setting{}; allowed: {}", did_you_mean(name, known), quoted_list(known)));
  }
  if (!group.setting.isGroup()) return;
  for (const Field<T>& field : fields) {
    const std::string path = inside + field.about.name;
    if (field.required && !group.findings.given(path))
      group.findings.add(path, fmt::format("is missing: {}; allowed: {}", field.about.help, field.about.allowed));
    const bool judged = field.applies && group.findings.given(path) && group.findings.sound(inside + field.depends_on);
    if (judged && !field.applies(into))
      group.findings.add(path, fmt::format("does not apply here; allowed: only with {}", field.condition));
  }
}

}  // namespace sluice::config
