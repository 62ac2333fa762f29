"""A headless Chromium spoken to over its pipe (Chrome DevTools Protocol); standard library only."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

from harness import Failure, Skip

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Browser:
    """One browser process with a profile of its own; `with Browser() as browser: page = browser.open(url)`."""

    def __enter__(self):
        if PROGRAM is None:
            raise Skip("chromium is not installed")
        self.profile = tempfile.mkdtemp(prefix="invar-browser-")
        read_end, self.output = os.pipe()
        self.input, write_end = os.pipe()

        def connect():
            # The browser reads commands from descriptor 3 and writes answers to 4.
            commands, answers = os.dup(read_end), os.dup(write_end)
            os.dup2(commands, 3)
            os.dup2(answers, 4)

        arguments = [
            PROGRAM, "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={self.profile}", "--disable-gpu",
            "--no-first-run", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
            "--disable-extensions", "--mute-audio", "--hide-scrollbars", "--no-proxy-server"]
        if os.geteuid() == 0:
            arguments.append("--no-sandbox")
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=connect, close_fds=False)
        os.close(read_end)
        os.close(write_end)
        self.buffer = b""
        self.last = 0
        self.answers = {}
        self.pages = {}
        self.command("Browser.getVersion", timeout=120)
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.input)
        os.close(self.output)
        shutil.rmtree(self.profile, ignore_errors=True)

    def command(self, method, parameters=None, session=None, timeout=60):
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters or {}}
        if session:
            message["sessionId"] = session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        number, deadline = self.last, time.monotonic() + timeout
        while number not in self.answers:
            self.take(deadline, method)
        answer = self.answers.pop(number)
        if "error" in answer:
            raise Failure(f"{method}: {answer['error']}")
        return answer["result"]

    def take(self, deadline, what):
        """Reads at least one message or event."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.input], [], [], left)[0]:
            raise Failure(f"the browser does not answer: {what}")
        chunk = os.read(self.input, 1 << 20)
        if not chunk:
            raise Failure("the browser is gone")
        *messages, self.buffer = (self.buffer + chunk).split(b"\0")
        for text in messages:
            message = json.loads(text)
            if "id" in message:
                self.answers[message["id"]] = message
            elif message.get("sessionId") in self.pages:
                self.pages[message["sessionId"]].happened(message["method"], message["params"])

    def open(self, url, width=1280, height=800, dark=False, headers=None):
        target = self.command("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.command("Target.attachToTarget", {"targetId": target, "flatten": True})["sessionId"]
        page = Page(self, session)
        self.pages[session] = page
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.command(f"{domain}.enable")
        page.command("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        page.command("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]})
        if headers:
            page.command("Network.setExtraHTTPHeaders", {"headers": headers})
        page.go(url)
        return page


class Page:
    """A tab; `problems` has what its console complained about, `requests` every address it asked for."""

    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self.problems = []
        self.requests = []
        self.dialogs = 0

    def command(self, method, parameters=None):
        return self.browser.command(method, parameters, self.session)

    def happened(self, method, parameters):
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            self.problems.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.problems.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")
        elif method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "assert"):
            self.problems.append(str(parameters["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif method == "Page.javascriptDialogOpening":
            self.dialogs += 1
            self.browser.last += 1
            answer = {"id": self.browser.last, "method": "Page.handleJavaScriptDialog", "params": {"accept": False},
                      "sessionId": self.session}
            os.write(self.browser.output, json.dumps(answer).encode() + b"\0")

    def go(self, url):
        self.command("Page.navigate", {"url": url})

    def evaluate(self, expression):
        """The value of an expression in the page, by JSON."""
        result = self.command("Runtime.evaluate", {"expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in result:
            raise Failure(f"{expression}: {result['exceptionDetails'].get('exception', {}).get('description')}")
        return result["result"].get("value")

    def wait(self, expression, seconds=60):
        """Waits until the expression is true in the page and returns its value."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.evaluate(
                f"(() => {{ try {{ const value = {expression}; return value instanceof Node ? true : value }} "
                "catch { return null } })()")
            if value:
                return value
            if time.monotonic() > deadline:
                text = self.evaluate("document.body ? document.body.innerText.slice(0, 1500) : ''")
                raise Failure(f"the page never came to {expression}; it says: {text}; problems: {self.problems}")
            select.select([], [], [], 0.1)

    def text(self, selector="body"):
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def key(self, name, text=None):
        parameters = {"key": name, "code": name}
        if text:
            parameters["text"] = text
        self.command("Input.dispatchKeyEvent", {**parameters, "type": "keyDown"})
        self.command("Input.dispatchKeyEvent", {**parameters, "type": "keyUp"})

    def screenshot(self, path, whole=False):
        image = self.command("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": whole})
        with open(path, "wb") as file:
            file.write(base64.b64decode(image["data"]))
