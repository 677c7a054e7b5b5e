// SPDX-License-Identifier: Apache-2.0
//
// What `--check` finds beyond the text of a file: each row with the file that is missing or wrong, and as it should be.
#include "controlplane/process/start_check.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>

#include "tests/config/cases.h"
#include "tests/config/file.h"

namespace sluice::control {
namespace {

using config::file_with;
using Lines = std::vector<std::string>;

/// A certificate signed by itself that ends `seconds` from now.
void write_certificate(const std::string& path, long seconds, const char* mode = "w") {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> made(X509_new(), &X509_free);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -100000);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), seconds);
  X509_set_pubkey(made.get(), key.get());
  X509_sign(made.get(), key.get(), EVP_sha256());
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), mode), &std::fclose);
  PEM_write_X509(file.get(), made.get());
}

class StartCheck : public testing::Test {
 protected:
  StartCheck() { setenv("SLUICE_STATE_DIR", directory_.path("state").c_str(), 1); }
  ~StartCheck() override { unsetenv("SLUICE_STATE_DIR"); }

  /// "LINE: MESSAGE" of each fault.
  Lines faults(const std::string& text) {
    auto reading = config::read_config_text("a.cfg", text);
    if (!reading) return {reading.error().front().to_string()};
    check_start(reading->config, reading->findings);
    Lines out;
    for (const config::Fault& fault : reading->findings.faults())
      out.push_back(std::to_string(fault.line) + ": " + fault.message);
    return out;
  }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::string path = directory_.write(name, text);
    chmod(path.c_str(), mode);
    return path;
  }

  config::Directory directory_;
};

TEST_F(StartCheck, ReadsTheToken) {
  const auto with = [](const std::string& path) { return file_with("control", "token_file = \"" + path + "\";"); };
  const std::string secret(40, 's');
  EXPECT_EQ(faults(with(file("token", secret))), Lines{});
  EXPECT_EQ(faults(with("/absent")), Lines{"4: control.token_file: /absent: No such file or directory"});
  const std::string open = file("open", secret, 0644);
  ASSERT_EQ(faults(with(open)).size(), 1U);
  EXPECT_TRUE(faults(with(open))[0].starts_with("4: control.token_file: " + open + ": has mode 0644; allowed"));
}

TEST_F(StartCheck, LooksAtWhoMayUseTheApi) {
  const auto with = [](const std::string& settings) { return file_with("control", settings); };
  EXPECT_EQ(faults(with(R"(read_token_file = "/absent";)")),
            Lines{"4: control.read_token_file: /absent: No such file or directory"});
  EXPECT_EQ(faults(with(R"(placement_secret_file = "/absent";)")),
            Lines{"4: control.placement_secret_file: /absent: No such file or directory"});
  EXPECT_EQ(faults(with(R"(api_group = "daemon";)")), Lines{});
  EXPECT_EQ(faults(with(R"(api_group = "nobody-has-this";)")),
            Lines{R"(4: control.api_group: there is no group "nobody-has-this"; allowed: one that this host knows)"});
  const auto tls = [&](const std::string& cert, const std::string& key) {
    return with(R"(tls = { cert_file = ")" + cert + R"("; key_file = ")" + key + R"("; };)");
  };
  EXPECT_EQ(faults(tls("/absent", "/absent")), Lines{"4: control.tls.cert_file: /absent: No such file or directory"});
  const std::string text = file("server.pem", "no certificate");
  EXPECT_EQ(faults(tls(text, text)), Lines{"4: control.tls.cert_file: " + text + ": holds no certificate in PEM form"});
  const std::string good = directory_.path("server-good.pem");
  write_certificate(good, 1000);
  EXPECT_EQ(faults(tls(good, text)),
            Lines{"4: control.tls.key_file: " + text + ": holds no key that goes with the certificate in PEM form"});
}

TEST_F(StartCheck, ReadsCertificatesThatAServiceUses) {
  const auto with = [](const std::string& path, bool used) {
    std::string out =
        file_with("checks", R"(tls: { type = "smtps"; verify = true; server_name = "mx.example"; ca_file = ")" + path +
                                R"("; };)");
    if (used) out.insert(out.find("pool = \"mta\";") + 13, " port = 465; check = \"tls\"; on_no_backend = \"reset\";");
    return out;
  };
  const std::string good = directory_.path("good.pem"), old = directory_.path("old.pem");
  write_certificate(good, 1000);
  EXPECT_EQ(faults(with(good, true)), Lines{});
  EXPECT_EQ(faults(with("/absent", false)), Lines{});
  ASSERT_EQ(faults(with("/absent", true)).size(), 1U);
  EXPECT_TRUE(
      faults(with("/absent", true))[0].starts_with(R"(6: checks.tls.ca_file: check "tls": ca_file = "/absent")"));
  EXPECT_EQ(faults(with("/dev/null", true)), Lines{"6: checks.tls.ca_file: /dev/null: is not a file"});
  std::string by_policy = with("/absent", true);
  by_policy.replace(by_policy.find("verify"), 6, "mta_sts");
  EXPECT_EQ(faults(by_policy), faults(with("/absent", true))) << "MTA-STS believes by it too";
  const std::string text = file("text.pem", "no certificate");
  EXPECT_EQ(faults(with(text, true)).size(), 1U);
  write_certificate(old, -1000);
  EXPECT_EQ(faults(with(old, true)),
            Lines{"6: checks.tls.ca_file: " + old +
                  ": the certificate in it has expired: it lets nobody's certificate pass; allowed: certificates that "
                  "are valid"});
  write_certificate(old, -2000, "a");
  EXPECT_NE(faults(with(old, true)).at(0).find("all 2 certificates in it have expired"), std::string::npos);
  write_certificate(old, 1000, "a");
  EXPECT_EQ(faults(with(old, true)), Lines{});
}

TEST_F(StartCheck, LooksAtTheKeyOfTheFleet) {
  const auto with = [](const std::string& path) {
    return file_with("top", R"(fleet: { peers = { listen = "10.9.0.1:2526"; to = ["10.9.0.2:2526"]; key_file = ")" +
                                path + R"("; }; };)");
  };
  EXPECT_EQ(faults(with(file("key", std::string(32, 'k'), 0640))), Lines{});
  EXPECT_EQ(faults(with("/absent")), Lines{"13: fleet.peers.key_file: /absent: No such file or directory"});
  const std::string short_key = file("short", std::string(31, 'k'));
  EXPECT_EQ(faults(with(short_key)),
            Lines{"13: fleet.peers.key_file: " + short_key + ": holds 31 bytes; allowed: 32 to 4096"});
  const std::string open = file("open", std::string(32, 'k'), 0604);
  EXPECT_TRUE(faults(with(open)).at(0).starts_with("13: fleet.peers.key_file: " + open + ": has mode 0604; allowed"));
  EXPECT_EQ(faults(with("/tmp")), Lines{"13: fleet.peers.key_file: /tmp: is not a file"});
}

TEST_F(StartCheck, ReadsTheCertificatesOfEtcd) {
  const auto with = [](const std::string& settings) {
    return file_with("top", R"(fleet: { etcd = { endpoints = ["https://10.9.0.9"]; )" + settings + " }; };");
  };
  const auto ca = [&](const std::string& path) { return with("ca_file = \"" + path + "\";"); };
  const std::string good = directory_.path("good.pem"), old = directory_.path("old.pem");
  write_certificate(good, 1000);
  write_certificate(old, -1000);
  EXPECT_EQ(faults(with("")), Lines{});
  EXPECT_EQ(faults(ca(good)), Lines{});
  EXPECT_EQ(faults(ca("/absent")), Lines{"13: fleet.etcd.ca_file: /absent: No such file or directory"});
  const std::string text = file("text", "no certificate");
  EXPECT_EQ(faults(ca(text)), Lines{"13: fleet.etcd.ca_file: " + text + ": holds no certificate in PEM form"});
  EXPECT_EQ(faults(ca(old)), Lines{"13: fleet.etcd.ca_file: " + old +
                                   ": the certificate in it has expired; allowed: one that is valid"});
  const std::string foreign = file("foreign.key", "no key");
  EXPECT_EQ(faults(with("cert_file = \"" + good + "\"; key_file = \"" + foreign + "\";")),
            Lines{"13: fleet.etcd.key_file: " + foreign + ": holds no key that goes with the certificate in PEM form"});
}

TEST_F(StartCheck, ReadsWhatPoolsDiscover) {
  const auto with = [](const std::string& path) {
    return file_with("pool", "discover = { file = \"" + path + "\"; };");
  };
  EXPECT_EQ(faults(with(file("good", R"({"backends": [{"name": "a", "address": "10.0.1.99"}]})"))), Lines{});
  ASSERT_EQ(faults(with("/absent")).size(), 1U);
  EXPECT_TRUE(faults(with("/absent"))[0].ends_with("pools[0].discover.file: /absent: No such file or directory"));
  const std::string wrong = file("wrong", R"({"backends": [{"name": "a", "address": "nowhere"}]})");
  ASSERT_EQ(faults(with(wrong)).size(), 1U);
  EXPECT_NE(faults(with(wrong))[0].find(wrong + ": backends[0].address: \"nowhere\" is not an address"),
            std::string::npos);
}

TEST_F(StartCheck, ReadsTheBlockList) {
  const auto with = [](const std::string& path) {
    return file_with("top", "sources: { block_file = \"" + path + "\"; };");
  };
  EXPECT_EQ(faults(with(file("block", "192.0.2.0/24  # them\n"))), Lines{});
  EXPECT_EQ(faults(with("/absent")), Lines{"13: sources.block_file: /absent: No such file or directory"});
  const std::string wrong = file("wrong", "192.0.2.0/24\nelsewhere\n");
  EXPECT_TRUE(faults(with(wrong)).at(0).starts_with("13: sources.block_file: " + wrong + ":2: \"elsewhere\""));
}

TEST_F(StartCheck, LooksWhereFilesAreToBeMade) {
  const auto records = [](const std::string& to) { return file_with("top", "records: { to = \"" + to + "\"; };"); };
  EXPECT_EQ(faults(records("file:" + directory_.path("sessions.jsonl"))), Lines{});
  EXPECT_EQ(faults(records("syslog:")), Lines{});
  EXPECT_EQ(faults(records("file:/absent/sessions.jsonl")), Lines{"13: records.to: there is no directory /absent"});
  const std::string plain = file("plain", "");
  EXPECT_EQ(faults(records("file:" + plain + "/sessions.jsonl")),
            Lines{"13: records.to: " + plain + " is no directory"});
  EXPECT_EQ(faults(file_with("control", "state = \"" + directory_.path("new/deep") + "\";")), Lines{});
  EXPECT_EQ(faults(file_with("control", "state = \"" + plain + "/state\";")),
            Lines{"4: control.state: " + plain +
                  " is no directory; allowed: where control may write, or changes by hand end with it"});
}

TEST_F(StartCheck, KnowsTheRoomForTables) {
  const auto with = [](int services) {
    std::string more;
    for (int i = 0; i < services; i++) {
      const std::string n = std::to_string(i);
      more += ", { name = \"s" + n + "\"; vip = \"192.0.3." + n + "\"; port = " + std::to_string(1000 + i) +
              "; pool = \"mta\"; table_size = 5000011; }";
    }
    return file_with("services", more);
  };
  EXPECT_EQ(faults(with(1)), Lines{});
  ASSERT_EQ(faults(with(40)).size(), 1U);
  EXPECT_NE(faults(with(40))[0].find("services: the tables of all services together need"), std::string::npos);
}

}  // namespace
}  // namespace sluice::control
