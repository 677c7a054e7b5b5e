// SPDX-License-Identifier: Apache-2.0
#include "controlplane/fleet/registrations.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "config/load.h"

namespace sluice::control {
namespace {

etcd::Record record(const std::string& key, const std::string& value) {
  return {"/sluice/backends/" + key, value, 1};
}

etcd::Record backend(const std::string& pool, const std::string& name) {
  return record(pool + "/" + name, fmt::format(R"({{"name": "{}", "address": "10.0.1.1"}})", name));
}

PoolDocuments documents(const std::vector<etcd::Record>& records) {
  return documents_from(records, "/sluice/backends/");
}

TEST(Registrations, OfAPoolAreItsDocument) {
  const PoolDocuments found = documents({backend("mta", "a"), backend("mta", "b"), backend("other", "a")});
  ASSERT_EQ(found.size(), 2U);
  const auto read = config::read_backends("etcd", found.at("mta").document);
  ASSERT_TRUE(read) << read.error().front();
  ASSERT_EQ(read->size(), 2U);
  EXPECT_EQ((*read)[1].name, "b");
  EXPECT_TRUE(documents({}).empty());
  EXPECT_TRUE(documents({{"/elsewhere/mta/a", "{}", 1}, record("stray", "{}")}).empty());
}

TEST(Registrations, WhoLeavesIsNoMember) {
  const PoolDocuments found =
      documents({backend("mta", "a"), record("mta/b", R"({"name": "b", "address": "10.0.1.2", "leaving": true})"),
                 record("last/a", R"({"leaving": true})")});
  EXPECT_EQ(config::read_backends("etcd", found.at("mta").document)->size(), 1U);
  EXPECT_EQ(found.at("mta").leaving, std::set<std::string>{"b"});
  EXPECT_TRUE(config::read_backends("etcd", found.at("last").document)->empty());
  EXPECT_EQ(found.at("last").leaving, std::set<std::string>{"a"});
  for (const char* wrong : {R"({"name": "a", "address": "10.0.1.1", "leaving": "yes"})",
                            R"({"name": "a", "address": "10.0.1.1", "leaving": false})", "[true]"})
    EXPECT_NE(documents({record("mta/a", wrong)}).at("mta").fault, "") << wrong;
}

TEST(Registrations, OneThatIsWrongIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", ": is not one backend of its key's name"},
      {"{", ": is no JSON: a fault at byte "},
      {"[]", ": backends[0]: must be a group, not a list"},
      {R"({"name": "b", "address": "10.0.1.1"})", ": is not one backend of its key's name"},
      {R"({"name": "a", "address": "10.0.1.1"}, {"name": "b", "address": "10.0.1.2"})",
       ": is not one backend of its key's name"},
      {R"({"name": "a", "address": "10.0.1.1"}], "backends": [)", ": \"backends\" stands twice in one object"},
      {R"({"name": "a", "address": "10.0.1.1", "weight": -1})", ": backends[0].weight: -1"},
      {R"({"name": "a", "name": "a", "address": "10.0.1.1"})", ": \"name\" stands twice in one object"},
  };
  for (const auto& [value, wanted] : cases) {
    SCOPED_TRACE(value);
    const PoolDocuments found = documents({record("mta/a", value), backend("mta", "c"), backend("other", "a")});
    ASSERT_NE(found.at("mta").fault, "");
    EXPECT_TRUE(found.at("mta").fault.starts_with("/sluice/backends/mta/a")) << found.at("mta").fault;
    EXPECT_NE(found.at("mta").fault.find(wanted), std::string::npos) << found.at("mta").fault;
    EXPECT_EQ(found.at("other").fault, "") << "of no concern to other pools";
  }
}

TEST(Registrations, WhoLeavesIsToldBesideOneThatIsWrong) {
  const PoolDocuments found =
      documents({record("mta/a", "{"), record("mta/b", R"({"leaving": true})"), record("mta/c", "[")});
  EXPECT_EQ(found.at("mta").leaving, std::set<std::string>{"b"});
  EXPECT_TRUE(found.at("mta").fault.starts_with("/sluice/backends/mta/a: ")) << "the first of them";
}

TEST(Registrations, ShowNoBytesToATerminal) {
  const PoolDocuments found = documents({record("mta/\x1b[2J", "{}")});
  EXPECT_EQ(found.at("mta").fault.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
