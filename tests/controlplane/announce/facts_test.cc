// SPDX-License-Identifier: Apache-2.0
#include "controlplane/announce/facts.h"

#include "tests/controlplane/support/model_fixture.h"

namespace sluice::control {
namespace {

using Facts = ModelTest;

TEST_F(Facts, AVipNeedsEachOfItsServicesOrAny) {
  add_service("submission", 587, "submission");
  Model model = this->model();
  bring_up(model);
  EXPECT_TRUE(vip_facts(model, config::Require::kAll).at(0).in_service);
  for (size_t i = 0; i < model.members().size(); i++)
    if (model.members()[i].port == 587) model.set_health(i, Health::kDown, "gone");
  model.refresh();
  const auto all = vip_facts(model, config::Require::kAll);
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].vip, ip("192.0.2.25"));
  EXPECT_FALSE(all[0].in_service);
  EXPECT_TRUE(all[0].reason.starts_with("submission: ")) << all[0].reason;
  const auto any = vip_facts(model, config::Require::kAny);
  EXPECT_TRUE(any.at(0).in_service);
  EXPECT_EQ(any.at(0).reason, "");
  for (size_t i = 0; i < model.members().size(); i++) model.set_health(i, Health::kDown, "gone");
  model.refresh();
  EXPECT_FALSE(vip_facts(model, config::Require::kAny).at(0).in_service);
}

TEST_F(Facts, AServiceThatHasNotBeenJudgedYetIsNoReasonToWithdraw) {
  add_service("submission", 587, "submission");
  Model model = this->model();
  EXPECT_FALSE(vip_facts(model, config::Require::kAll).at(0).is_known);
  EXPECT_FALSE(vip_facts(model, config::Require::kAny).at(0).is_known);
  bring_up(model);
  EXPECT_TRUE(vip_facts(model, config::Require::kAll).at(0).is_known);
  for (size_t i = 0; i < model.members().size(); i++)
    if (model.members()[i].port == 587) model.set_health(i, Health::kUnknown, "not checked yet");
  model.refresh();
  const VipFacts some = vip_facts(model, config::Require::kAll).at(0);
  EXPECT_FALSE(some.is_known);
  EXPECT_TRUE(vip_facts(model, config::Require::kAny).at(0).is_known) << "the other is in service";
  for (size_t i = 0; i < model.members().size(); i++)
    if (model.members()[i].port == 25) model.set_health(i, Health::kDown, "gone");
  model.refresh();
  const VipFacts out = vip_facts(model, config::Require::kAll).at(0);
  EXPECT_TRUE(out.is_known) << "whatever becomes of the other";
  EXPECT_FALSE(out.in_service);
}

std::vector<BoundPort> bound(bool front_up, bool back_up, bool back_bound = true) {
  std::vector<BoundPort> out{{.name = "front", .twin = "slf0", .index = 0, .link_up = front_up, .fault = ""},
                             {.name = "back", .twin = "slb0", .index = 1, .link_up = back_up, .fault = ""}};
  if (!back_bound) out[1].index.reset();
  return out;
}

TEST(PortFault, IsWhereNoPortOfOneSideLeadsOut) {
  std::vector<config::Port> ports{{.name = "front", .faces = config::Faces::kClients},
                                  {.name = "back", .faces = config::Faces::kBackends}};
  EXPECT_EQ(port_fault(ports, bound(true, true)), "");
  EXPECT_EQ(port_fault(ports, bound(false, true)), "no link towards clients: port front");
  EXPECT_EQ(port_fault(ports, bound(true, false)), "no link towards mail servers: port back");
  EXPECT_EQ(port_fault(ports, bound(true, true, false)), "no link towards mail servers: port back");
  EXPECT_EQ(port_fault(ports, {}), "no link towards clients: port front");
  ports[0].faces = config::Faces::kBoth;
  EXPECT_EQ(port_fault(ports, bound(true, false)), "") << "one that faces both is enough";
}

}  // namespace
}  // namespace sluice::control
