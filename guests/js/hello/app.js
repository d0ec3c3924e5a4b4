// Greets in its language's name; sends the body of a POST back as it comes.

addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const headers = { "content-type": "text/plain" };
  if (request.method === "POST") {
    return new Response(request.body, { headers });
  }
  return new Response("Hello from JavaScript!\n", { headers });
}
