// SPDX-License-Identifier: Apache-2.0
#include "controlplane/security/mail_security.h"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "controlplane/discovery/dns_types.h"

namespace sluice::control {

namespace {

constexpr std::chrono::seconds kHolds{60};  // a finding, usually: dates in a chain pass
constexpr size_t kMostAtOnce = 50;          // to be judged in one turn of the loop: each takes a fraction of a ms

bool speaks_tls(const config::Check& check) {
  return check.type == config::CheckType::kStarttls || check.type == config::CheckType::kSmtps;
}

bool is_alike(const std::shared_ptr<const health::PresentedChain>& one,
              const std::shared_ptr<const health::PresentedChain>& other) {
  return one == other || (one != nullptr && other != nullptr && *one == *other);
}

std::shared_ptr<const health::PresentedChain> chain_of(const Member& member) {
  return member.certificate ? member.certificate->chain : nullptr;
}

/// A finding in the journal's words.
struct Words {
  bool is_bad = false;
  std::string_view state;
  std::string why;
};

Words words_of(const std::optional<DaneFinding>& found) {
  const DaneFinding finding = found.value_or(DaneFinding());
  const bool is_good =
      finding.dane == Dane::kUnknown || finding.dane == Dane::kMatches || finding.dane == Dane::kNoRecords;
  return {!is_good, name_of(finding.dane), finding.why};
}

Words words_of(const std::optional<StsFinding>& found) {
  const StsFinding finding = found.value_or(StsFinding());
  return {finding.sts == Sts::kDisagrees, name_of(finding.sts), finding.why};
}

/// What is bad, and what is not any more.
void tell(Journal& journal, const std::string& label, const char* what, const Words& now, const Words& before) {
  if (now.state == before.state || (!now.is_bad && !before.is_bad)) return;
  journal.record(now.is_bad ? Severity::kWarning : Severity::kInfo, "backend", label,
                 fmt::format("{}: {}{}{}", what, now.state, now.why.empty() ? "" : ": ", now.why));
}

void tell_policy(Journal& journal, const std::string& domain, const StsKnown& before, const StsKnown& now) {
  if (before.fault() != now.fault()) {
    const std::string stays = now.policy() ? "; the policy that was read last stays in use" : "";
    journal.record(now.fault().empty() ? Severity::kInfo : Severity::kWarning, "security", domain,
                   now.fault().empty() ? "MTA-STS: its policy is read" : "MTA-STS: " + now.fault() + stays);
  }
  if (before.policy() != now.policy())
    journal.record(Severity::kInfo, "security", domain,
                   fmt::format("MTA-STS: policy {} of mode {}", now.id(), name_of(now.policy()->mode)));
}

/// What the check asks a member for; nothing where TLS begins with the first byte.
std::optional<bool> starttls_of(const Member& member, const config::Check& check) {
  return check.type == config::CheckType::kStarttls ? member.offers_starttls : std::nullopt;
}

/// Under which the DNS has the TLSA records of a placement; "" = the check asks for no DANE.
std::string published_name(const Placement& placement, const config::Check& check) {
  return check.tlsa ? tlsa_name(check.server_name, placement.port) : "";
}

std::string key_of(const Placement& placement, const std::string& label) {
  return placement.label() + " " + label;
}

}  // namespace

MailSecurity::MailSecurity(boost::asio::io_context& io, const Model& model, Journal& journal,
                           std::vector<config::SocketAddress> servers)
    : io_(io), model_(model), journal_(journal), servers_(std::move(servers)), signatures_(io, journal, servers_) {}

void MailSecurity::follow(const config::Config& config) {
  checks_.clear();
  for (const config::Check& check : config.checks)
    if (speaks_tls(check)) checks_.emplace(check.name, check);
  for (auto& [key, judged] : judged_) judged.at = {};  // looked at anew, and told where it is another
  follow_records();
  follow_policies();
  follow_signatures();
  tick();
}

void MailSecurity::stop() {
  record_watches_.clear();
  policy_watches_.clear();
  signatures_.stop();
}

void MailSecurity::follow_records() {
  std::set<std::string> wanted;
  for (const Placement& placement : model_.placements()) {
    const auto check = checks_.find(placement.check);
    if (check != checks_.end() && check->second.tlsa)
      wanted.insert(tlsa_name(check->second.server_name, placement.port));
  }
  std::erase_if(record_watches_, [&](const auto& each) { return !wanted.contains(each.first); });
  std::erase_if(records_, [&](const auto& each) { return !wanted.contains(each.first); });
  for (const std::string& name : wanted) {
    records_.try_emplace(name);
    if (record_watches_.contains(name)) continue;
    record_watches_[name] = std::make_unique<RecordWatch>(
        io_, servers_, name, kTypeTlsa,
        [this, name](const Resolver::Message& answer) { return hear_records(name, answer); });
  }
}

void MailSecurity::follow_signatures() {
  std::set<RecordSet> wanted;
  for (const auto& [name, check] : checks_) {
    if (!check.tlsa) continue;
    wanted.insert({check.server_name, ns_t_a});
    wanted.insert({check.server_name, ns_t_aaaa});
    if (!check.mail_domain.empty()) wanted.insert({check.mail_domain, ns_t_mx});
  }
  signatures_.follow(wanted);
}

void MailSecurity::follow_policies() {
  std::set<PolicyKey> wanted;
  for (const auto& [name, check] : checks_)
    if (check.mta_sts) wanted.emplace(check.mail_domain, check.ca_file);
  std::erase_if(policy_watches_, [&](const auto& each) { return !wanted.contains(each.first); });
  for (const PolicyKey& key : wanted) {
    if (policy_watches_.contains(key)) continue;
    const auto& [domain, ca_file] = key;
    auto authorities = authorities_of(ca_file);
    if (!authorities) {
      journal_.record(Severity::kWarning, "security", domain, "MTA-STS is not looked at: " + authorities.error());
      continue;
    }
    policy_watches_[key] = std::make_unique<StsWatch>(
        io_, servers_, domain, std::move(*authorities), [this] { return journal_.now(); },
        [this, domain](const StsKnown& before, const StsKnown& now) { tell_policy(journal_, domain, before, now); });
  }
}

std::chrono::seconds MailSecurity::hear_records(const std::string& name, const Resolver::Message& answer) {
  TlsaKnown& known = records_[name];
  auto found = answer ? tlsa_from(*answer) : std::unexpected(answer.error());
  const std::string fault = found ? "" : found.error();
  if (fault.empty() != known.fault.empty()) {
    const std::string stays = known.answer ? "; the last answer stays in use" : "";
    journal_.record(fault.empty() ? Severity::kInfo : Severity::kWarning, "security", name,
                    fault.empty() ? "the DNS answers" : fault + stays);
  }
  const bool is_other = found && (!known.answer || known.answer->records != found->records ||
                                  known.answer->authenticated != found->authenticated);
  if (is_other || fault != known.fault) known.version++;
  known.fault = fault;
  if (!found) return std::chrono::seconds(0);
  known.answer = std::move(*found);
  known.answered = journal_.now();
  return known.answer->ttl;
}

std::map<MailSecurity::PolicyKey, const StsKnown*> MailSecurity::policies() const {
  std::map<PolicyKey, const StsKnown*> out;
  for (const auto& [key, watch] : policy_watches_) out.emplace(key, &watch->known());
  return out;
}

const StsWatch* MailSecurity::policy_of(const config::Check& check) const {
  const auto found = policy_watches_.find({check.mail_domain, check.ca_file});
  return check.mta_sts && found != policy_watches_.end() ? found->second.get() : nullptr;
}

bool MailSecurity::holds(const Judged& judged, const Member& member, const std::string& tlsa_name,
                         const config::Check& check) const {
  const auto records = records_.find(tlsa_name);
  const StsWatch* const policy = policy_of(check);
  return is_alike(judged.chain, chain_of(member)) && judged.offers_starttls == starttls_of(member, check) &&
         judged.records_version == (records == records_.end() ? 0 : records->second.version) &&
         judged.policy_version == (policy == nullptr ? 0 : policy->known().version()) &&
         judged.sts.has_value() == check.mta_sts && journal_.now() - judged.at < kHolds;
}

MailSecurity::Judged MailSecurity::judge(const std::string& tlsa_name, const config::Check& check,
                                         const Member& member) const {
  const SystemTime now = journal_.now();
  Judged out{.chain = chain_of(member), .offers_starttls = starttls_of(member, check), .at = now};
  const auto chain = out.chain == nullptr ? std::unexpected("nothing was presented yet") : read_chain(*out.chain);
  if (const auto records = records_.find(tlsa_name); records != records_.end()) {
    const TlsaKnown& known = records->second;
    out.records_version = known.version;
    out.dane.emplace();
    if (!known.answer && !known.fault.empty())
      out.dane = {Dane::kDnsFails, known.fault};
    else if (known.answer && chain)
      out.dane = hold_against(*known.answer, *chain, check.server_name, now);
  }
  if (!check.mta_sts) return out;
  out.sts.emplace();
  const StsWatch* const watch = policy_of(check);
  if (watch == nullptr) return out;
  const StsKnown& known = watch->known();
  out.policy_version = known.version();
  if (known.policy())
    out.sts = hold_against(*known.policy(), {out.offers_starttls, chain ? &*chain : nullptr}, watch->authorities(),
                           check.server_name, now);
  else if (!known.fault().empty())
    out.sts = {Sts::kNoPolicy, known.fault()};
  return out;
}

template <typename Look>
void MailSecurity::for_each_placement(Look look) const {
  std::set<std::string> seen;
  for (const Placement& placement : model_.placements()) {
    const auto check = checks_.find(placement.check);
    if (check != checks_.end() && seen.insert(placement.label()).second) look(placement, check->second);
  }
}

void MailSecurity::look_at(const Placement& placement, const config::Check& check, JudgedByKey& judged,
                           size_t& budget) const {
  const std::string name = published_name(placement, check);
  for (const size_t i : placement.members) {
    const Member& member = model_.members()[i];
    const std::string label = member.label();
    const std::string key = key_of(placement, label);
    const auto known = judged_.find(key);
    Judged& now = judged[key];
    if (known != judged_.end()) now = known->second;
    if (budget == 0 || holds(now, member, name, check)) continue;
    budget--;
    const Judged before = std::exchange(now, judge(name, check, member));
    tell(journal_, label, "DANE", words_of(now.dane), words_of(before.dane));
    tell(journal_, label, "MTA-STS", words_of(now.sts), words_of(before.sts));
  }
}

PoolSecurity MailSecurity::describe(const Placement& placement, const config::Check& check) const {
  const Judged not_yet;
  PoolSecurity out{.pool = placement.pool,
                   .port = placement.port,
                   .check = placement.check,
                   .server_name = check.server_name,
                   .tlsa_name = published_name(placement, check),
                   .mail_domain = check.mta_sts ? check.mail_domain : "",
                   .starttls_fault = placement.starttls_fault,
                   .certificate_fault = placement.certificate_fault};
  for (const size_t i : placement.members) {
    const Member& member = model_.members()[i];
    BackendSecurity& backend = out.backends.emplace_back();
    backend.name = member.name;
    backend.label = member.label();
    backend.offers_starttls = starttls_of(member, check);
    if (member.certificate) backend.not_after = member.certificate->not_after;
    const auto judged = judged_.find(key_of(placement, backend.label));
    const Judged& found = judged == judged_.end() ? not_yet : judged->second;
    if (check.tlsa) backend.dane = found.dane.value_or(DaneFinding());
    if (check.mta_sts) backend.sts = found.sts.value_or(StsFinding());
  }
  return out;
}

std::vector<PoolSecurity> MailSecurity::pools() const {
  std::vector<PoolSecurity> out;
  for_each_placement(
      [&](const Placement& placement, const config::Check& check) { out.push_back(describe(placement, check)); });
  return out;
}

void MailSecurity::tick() {
  JudgedByKey judged;
  size_t budget = kMostAtOnce;
  for_each_placement([&](const Placement& placement, const config::Check& check) {
    if (check.tlsa || check.mta_sts) look_at(placement, check, judged, budget);
  });
  judged_ = std::move(judged);
}

}  // namespace sluice::control
