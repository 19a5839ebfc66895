// SPDX-License-Identifier: Apache-2.0

// The Go core SDK, unmodified, against ecsd: what the aliyun CLI, packer and most of Terraform are built on.
package clients

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
)

const region = "cn-hangzhou"

type server struct {
	t        *testing.T
	endpoint string
	client   *sdk.Client
}

func start(t *testing.T) *server {
	data := t.TempDir()
	command := exec.Command(filepath.Join(os.Getenv("ECSD_BUILD"), "ecsd"), "--data", data, "--listen", "127.0.0.1:0",
		"--set", "sim.boot_s=0.02", "--set", "sim.shutdown_s=0.02", "--set", "log.level=warning")
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
	})
	endpoint := strings.TrimPrefix(strings.TrimSpace(await(t, filepath.Join(data, "endpoint"))), "http://")
	words := map[string]string{}
	for _, line := range strings.Split(await(t, filepath.Join(data, "credentials")), "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			words[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
		}
	}
	var key, secret string
	for name, value := range words {
		if strings.HasSuffix(name, "id") {
			key = value
		} else if strings.HasSuffix(name, "secret") {
			secret = value
		}
	}
	client, err := sdk.NewClientWithAccessKey(region, key, secret)
	if err != nil {
		t.Fatal(err)
	}
	return &server{t, endpoint, client}
}

func await(t *testing.T, path string) string {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text, err := os.ReadFile(path); err == nil && len(text) > 0 {
			return string(text)
		}
	}
	t.Fatalf("%s did not appear", path)
	return ""
}

// A CommonRequest, as the aliyun CLI sends it.
func (s *server) call(method, action string, params map[string]string) (map[string]any, error) {
	request := requests.NewCommonRequest()
	request.Method, request.Scheme, request.Domain = method, "http", s.endpoint
	request.Version, request.ApiName, request.Product = "2014-05-26", action, "Ecs"
	for name, value := range params {
		request.QueryParams[name] = value
	}
	response, err := s.client.ProcessCommonRequest(request)
	if err != nil {
		return nil, err
	}
	var body map[string]any
	if err := json.Unmarshal(response.GetHttpContentBytes(), &body); err != nil {
		s.t.Fatal(err)
	}
	return body, nil
}

func (s *server) must(action string, params map[string]string) map[string]any {
	body, err := s.call("POST", action, params)
	if err != nil {
		s.t.Fatalf("%s: %v", action, err)
	}
	return body
}

func (s *server) until(id, wanted string) {
	status := ""
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		found := s.must("DescribeInstances", map[string]string{"RegionId": region, "InstanceIds": `["` + id + `"]`})
		instances := found["Instances"].(map[string]any)["Instance"].([]any)
		status = instances[0].(map[string]any)["Status"].(string)
		if status == wanted {
			return
		}
	}
	s.t.Fatalf("%s is %s, not %s", id, status, wanted)
}

func TestStop(t *testing.T) {
	s := start(t)
	for _, method := range []string{"GET", "POST"} {
		made := s.must("RunInstances", map[string]string{"RegionId": region, "ImageId": "debian_12_6_x64_20G_alibase_20240711.vhd",
			"InstanceType": "ecs.g6.large", "Description": "a b+c*d~e!f'g(h)/=&%中文😀"})
		id := made["InstanceIdSets"].(map[string]any)["InstanceIdSet"].([]any)[0].(string)
		s.until(id, "Running")
		if _, err := s.call(method, "StopInstance", map[string]string{"InstanceId": id, "ForceStop": "true"}); err != nil {
			t.Fatal(err)
		}
		s.until(id, "Stopped")
		_, err := s.call(method, "StopInstance", map[string]string{"InstanceId": id})
		refused, ok := err.(*errors.ServerError)
		if !ok || refused.ErrorCode() != "IncorrectInstanceStatus" || refused.HttpStatus() != 403 {
			t.Fatalf("a second stop: %v", err)
		}
	}
}

func TestWrongSecret(t *testing.T) {
	s := start(t)
	client, err := sdk.NewClientWithAccessKey(region, "nobody", "wrong")
	if err != nil {
		t.Fatal(err)
	}
	s.client = client
	_, err = s.call("POST", "DescribeRegions", nil)
	if refused, ok := err.(*errors.ServerError); !ok || refused.ErrorCode() != "InvalidAccessKeyId.NotFound" {
		t.Fatalf("an unknown key: %v", err)
	}
}
